"""The shim's program, as the host and a container start it."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from perdure.sandbox import inside
from perdure.sandbox.inside import frames
from perdure.sandbox.inside.operate import launch
from perdure.sandbox.shim import Shim
from tests.sandbox.boxes import shell, unseen, until

PROGRAM = [sys.executable, *launch(str(Path(inside.__file__).parent.parent))]
LEASE = 2.0
"""Seconds: enough to connect in, also where the machine is busy."""
LIMITS = {
    "memory_mb": 512,
    "cpus": 1,
    "processes": 100,
    "disk_mb": 100,
    "seconds": 60,
    "output_bytes": 10_000,
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration of a sandbox without an enclosure."""
    return _write(tmp_path, lease_seconds=60)


def _write(place: Path, **changed: Any) -> Path:
    for part in ("workspace", "state"):
        (place / part).mkdir(exist_ok=True)
    config = {
        "root": str(place / "workspace"),
        "state": str(place / "state"),
        "enclosure": "none",
        "uid": None,
        "limits": LIMITS,
        "network": False,
        "environment": {"PATH": "/usr/bin:/bin"},
        **changed,
    }
    file = place / "state" / "config.json"
    file.write_text(json.dumps(config))
    return file


@contextmanager
def _serving(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([*PROGRAM, "serve", str(config)]) as server:
        yield server
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


@pytest_asyncio.fixture
async def relayed(config: Path) -> AsyncIterator[Shim]:
    """A client that reaches the server through a relay, which was there before the server."""
    relay = await asyncio.create_subprocess_exec(
        *PROGRAM,
        "relay",
        str(config.parent / "shim.sock"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert relay.stdin and relay.stdout
    await asyncio.sleep(0.1)
    with _serving(config):
        client = await Shim.connect(relay.stdout, relay.stdin, kind="none")
        yield client
        await client.close()
        assert await asyncio.wait_for(relay.wait(), 10) == 0


async def test_a_relay_carries_everything_both_ways(relayed: Shim) -> None:
    """Large data too; it ends with either of its ends."""
    data = bytes(range(256)) * 40_000
    await relayed.operate("write_file", {"path": "big", "key": "k"}, data)
    assert await relayed.pieces([("big", 0, len(data))]) == data
    assert (await relayed.run("s", shell("echo here"), unseen)).head == b"here\n"


async def test_a_second_server_of_a_sandbox_leaves_at_once(config: Path) -> None:
    """One lives at a time; a second one has nothing to do, and that is no failure."""
    with _serving(config):
        await until(config.parent / "shim.sock")
        second = await asyncio.create_subprocess_exec(*PROGRAM, "serve", str(config))
        assert await asyncio.wait_for(second.wait(), 10) == 0
        assert (config.parent / "shim.sock").exists()


async def test_a_server_that_nobody_needs_ends(tmp_path: Path) -> None:
    """A connected client keeps it, and a running command does."""
    config = _write(tmp_path, lease_seconds=LEASE)
    waiting = shell("touch up; until [ -e over ]; do sleep 0.1; done")
    with subprocess.Popen([*PROGRAM, "serve", str(config)]) as server:
        await until(config.parent / "shim.sock")
        streams = await asyncio.open_unix_connection(config.parent / "shim.sock")
        client = await Shim.connect(*streams, kind="none")
        await asyncio.sleep(1.5 * LEASE)
        running = asyncio.create_task(client.run("s", waiting, unseen))
        await until(tmp_path / "workspace" / "up")
        await client.close()
        with pytest.raises(Exception, match="lost"):
            await running
        await asyncio.sleep(1.5 * LEASE)
        assert server.poll() is None
        (tmp_path / "workspace" / "over").touch()
        assert await asyncio.to_thread(server.wait, 10) == 0
        assert json.loads(_first_line(config.parent / "steps" / "s" / "result"))["ended"] == "exit"


async def test_a_server_whose_sandbox_is_removed_ends(tmp_path: Path) -> None:
    """Though a client is connected: as when one is removed while it is being opened."""
    config = _write(tmp_path, lease_seconds=LEASE)
    with subprocess.Popen([*PROGRAM, "serve", str(config)]) as server:
        await until(config.parent / "shim.sock")
        streams = await asyncio.open_unix_connection(config.parent / "shim.sock")
        client = await Shim.connect(*streams, kind="none")
        shutil.rmtree(config.parent)
        assert await asyncio.to_thread(server.wait, 10) == 0
        await client.close()


def _first_line(file: Path) -> bytes:
    return file.read_bytes().splitlines()[0]


def test_an_operation_is_carried_out_from_frame_to_frame(tmp_path: Path) -> None:
    """As inside bubblewrap, where a workspace has a name of its own."""
    sent = frames.encode({"operation": "no such", "arguments": {}}, b"data")
    said = subprocess.run([*PROGRAM, "operate"], input=sent, capture_output=True, check=True)
    assert b"is unknown" in said.stdout


def test_other_arguments_are_explained() -> None:
    """The program says which there are."""
    said = subprocess.run([*PROGRAM, "dance"], capture_output=True, text=True)
    assert said.returncode == 1
    assert "serve CONFIG" in said.stderr
