"""How commands share one host, and what happens when it dies."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client

from perdure.connection import has_worker
from perdure.errors import ServerError
from perdure.hosting.home import Home
from perdure.hosting.parts import Elsewhere, Hosted, Parts, attached, end_host, host_command
from perdure.hosting.ports import free_port
from perdure.hosting.server import EmbeddedServer
from perdure.settings import Settings

COMMAND = host_command(str(Path(__file__).parents[2] / "worker.py"))

pytestmark = pytest.mark.filterwarnings(
    # The host outlives, by design, the command that has started it.
    "ignore:subprocess .* is still running:ResourceWarning"
)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home of its own, with a port so that no server of this machine is taken for it."""
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("TEMPORAL_ADDRESS", raising=False)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("PERDURE_PORT", str(free_port()))
    return Settings(home=tmp_path / "home")


@pytest_asyncio.fixture
async def home(settings: Settings) -> AsyncIterator[Home]:
    home = Home.prepare(settings.home)
    yield home
    await end_host(home)


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


def host_pid(parts: Parts) -> int:
    assert parts.host is not None
    return parts.host.pid


async def _gets_a_worker(client: Client) -> bool:
    """Its first request for work is on its way when the host is ready."""
    for _ in range(100):
        if await has_worker(client):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_commands_share_one_host_that_ends_with_the_last(
    settings: Settings, home: Home
) -> None:
    """Two that begin at once get the same host; it stays for the one and goes with the other."""
    async with AsyncExitStack() as stack:
        first, second = attached(settings, COMMAND), attached(settings, COMMAND)
        async with first as one:
            two = await stack.enter_async_context(second)
            assert host_pid(one) == host_pid(two)
            assert await _gets_a_worker(one.client)
        await asyncio.sleep(1.5)  # longer than the host takes to see that it is not needed
        assert home.host() is not None
    await until(lambda: not home.has_host)
    assert home.last_record() is None


async def test_commands_that_begin_together_start_one_host(settings: Settings, home: Home) -> None:
    """However the race goes, there is one server and one worker."""
    async with AsyncExitStack() as stack:
        entering = (stack.enter_async_context(attached(settings, COMMAND)) for _ in range(2))
        one, two = await asyncio.gather(*entering)
        assert host_pid(one) == host_pid(two)


@pytest.mark.slow
async def test_what_is_killed_comes_back_at_the_same_address(
    settings: Settings, home: Home
) -> None:
    """The host brings back its server, and an attached command brings back the host."""
    async with attached(settings, COMMAND) as parts:
        assert parts.host is not None
        before = parts.host

        os.kill(_server_pid(home), signal.SIGKILL)
        assert await _answers(parts.client)

        os.kill(before.pid, signal.SIGKILL)
        await until(lambda: not home.has_host)
        await parts.refresh()
        assert parts.host.pid != before.pid
        assert parts.host.address == before.address
        assert await _answers(parts.client)


def _server_pid(home: Home) -> int:
    pid: int = json.loads((home.path / "server.lock").read_text())["server"]
    return pid


async def _answers(client: Client) -> bool:
    await client.count_workflows()
    return True


async def test_a_detached_run_keeps_the_host_until_it_ends(settings: Settings, home: Home) -> None:
    """The marker of a run that is over, or was never started, is cleared away."""
    async with attached(settings, COMMAND) as parts:
        home.detach("agent-never-started")
        home.detach("agent-goes-on")
        handle = await parts.client.start_workflow("Any", id="agent-goes-on", task_queue="nobody")
        client = parts.client
    await until(lambda: home.detached() == ["agent-goes-on"])
    assert home.has_host
    assert await _answers(client)
    await handle.terminate()
    await until(lambda: not home.has_host)
    assert home.detached() == []


async def test_the_host_of_a_detached_run_can_be_ended(settings: Settings, home: Home) -> None:
    """Its marker stays, so that the next command's host goes on with it; a second end is none."""
    async with attached(settings, COMMAND) as parts:
        home.detach("agent-goes-on")
        await parts.client.start_workflow("Any", id="agent-goes-on", task_queue="nobody")
        pid = host_pid(parts)
    ended = await end_host(home)
    assert ended is not None
    assert ended.pid == pid
    assert home.detached() == ["agent-goes-on"]
    assert await end_host(home) is None


async def test_a_host_is_not_ended_under_another_command(settings: Settings, home: Home) -> None:
    """That command would only start it again."""
    async with attached(settings, COMMAND):
        with pytest.raises(ServerError, match="Another command uses"):
            await end_host(home)


async def test_the_command_says_why_its_host_did_not_start(settings: Settings, home: Home) -> None:
    """What went wrong in the background process reaches the terminal as its own sentence."""
    address = ("127.0.0.1", int(os.environ["PERDURE_PORT"]))
    refusal = pytest.raises(ServerError, match="Port .*, set by PERDURE_PORT, is in use")
    with socket.create_server(address), refusal:
        async with attached(settings, COMMAND):
            pass


async def test_a_configured_server_is_used_and_nothing_is_started(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TEMPORAL_ADDRESS set, servers and workers are other people's business."""
    server = await EmbeddedServer.start(Settings(home=tmp_path))
    try:
        monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
        async with attached(settings, COMMAND) as parts:
            assert isinstance(parts, Elsewhere)
            assert not isinstance(parts, Hosted)
            assert parts.host is None
            assert not await has_worker(parts.client)
        assert not settings.home.exists()
    finally:
        await server.stop()
