"""Connecting to Temporal."""

import subprocess
import sys

import pytest

from perdure.connection import connect, is_configured, run_guarded
from perdure.errors import ServerError
from perdure.hosting.ports import free_port


async def test_an_unreachable_server_is_an_error_with_a_cure() -> None:
    """The sentence names the address and what to set."""
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ServerError, match=f"can be reached at {address}.*TEMPORAL_ADDRESS"):
        await connect(address)


def test_a_server_is_configured_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A namespace alone does not configure a server."""
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "somewhere")
    monkeypatch.delenv("TEMPORAL_ADDRESS", raising=False)
    assert not is_configured()
    monkeypatch.setenv("TEMPORAL_ADDRESS", "cluster:7233")
    assert is_configured()


def test_an_unknown_profile_is_an_error_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the SDK says is passed on, with the place to correct it."""
    monkeypatch.setenv("TEMPORAL_PROFILE", "nowhere")
    with pytest.raises(ServerError, match="'nowhere' not found.*TEMPORAL_"):
        is_configured()


def test_the_guarded_entry_point_gives_the_result() -> None:
    """It is `asyncio.run` for its caller."""

    async def answer() -> int:
        return 42

    assert run_guarded(answer()) == 42


def test_a_failed_connection_writes_nothing_on_standard_output() -> None:
    """Standard output is for results; the SDK's core logs elsewhere."""
    program = (
        "from perdure.connection import *\n"
        "try: run_guarded(connect('127.0.0.1:1'))\n"
        "except ServerError: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
