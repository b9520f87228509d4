"""Which tools the servers of a file bring, from the worker's start to its end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest

from perdure.errors import PerdureError
from perdure.tools.mcp.pool import McpServers

Entry = Callable[..., dict[str, Any]]
Pool = Callable[..., Awaitable[McpServers]]
Call = Callable[..., Coroutine[Any, Any, str]]


def names(pool: McpServers) -> set[str]:
    return {tool.name for tool in pool.tools()}


async def until(met: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not met():
            await asyncio.sleep(0.05)


async def test_every_servers_tools_are_listed(
    pool: Pool, playing: Entry, old: dict[str, Any]
) -> None:
    """Of both protocols; a tool whose schema no model could use is left out."""
    servers = await pool({"playing": playing(), "old": old})
    assert {"playing__echo", "playing__pid", "old__grow", "old__dated"} <= names(servers)
    assert servers.find("playing__echo") is not None
    assert servers.find("old__broken") is None
    assert servers.find("nobody__echo") is None


async def test_no_servers_are_no_trouble(pool: Pool) -> None:
    """Nothing is loaded or started for them."""
    servers = await pool({})
    assert servers.tools() == []


@pytest.mark.parametrize("server", ["playing", "old"])
async def test_a_change_of_the_list_is_seen(
    pool: Pool, playing: Entry, old: dict[str, Any], call: Call, server: str
) -> None:
    """Servers of either protocol may have more tools later."""
    servers = await pool({"s": playing() if server == "playing" else old})
    assert "s__grown" not in names(servers)
    await asyncio.sleep(0.5)  # a server of the newer protocol has to be asked first
    await call(servers, "s__grow")
    await until(lambda: "s__grown" in names(servers))


async def test_a_slow_server_comes_later(
    pool: Pool, playing: Entry, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not hold up the start, nor the other servers."""
    began = time.monotonic()
    servers = await pool({"slow": playing("--slow", "60"), "quick": playing()}, patience=0.1)
    assert time.monotonic() - began < 5
    assert "MCP server 'slow' has not answered within 0.1 s. Until it does" in caplog.text
    assert servers.problem("slow__echo") == "MCP server 'slow' has not answered yet."
    await until(lambda: "quick__echo" in names(servers))


async def test_the_tools_of_last_time_are_known_at_once(pool: Pool, playing: Entry) -> None:
    """An agent that names one is not refused because its server is starting."""
    first = await pool({"s": playing()})
    listed = names(first)
    await first.close()
    again = await pool({"s": playing("--slow", "60")}, patience=0.1)
    assert names(again) == listed
    assert again.problem("s__echo") is None


async def test_a_spoilt_list_of_last_time_is_no_harm(
    pool: Pool, playing: Entry, tmp_path: Path
) -> None:
    """The server is asked."""
    folder = tmp_path / "mcp"
    folder.mkdir()
    (folder / "s.json").write_text("{")
    servers = await pool({"s": playing()})
    assert "s__echo" in names(servers)
    assert json.loads((folder / "s.json").read_text())[0]["name"] == "echo"


async def test_a_server_that_is_down_is_named_and_tried_again(
    pool: Pool, playing: Entry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are not held up; it comes in as soon as it can be started."""
    program = tmp_path / "serve"
    servers = await pool({"down": {"command": str(program)}, "up": playing()})
    assert "up__echo" in names(servers)
    assert f"'down' cannot be reached: its command '{program}' is not found" in caplog.text
    assert "cannot be reached" in (servers.problem("down__echo") or "")
    entry = playing()
    program.write_text(f"#!/bin/sh\nexec {entry['command']} {entry['args'][0]}\n")
    program.chmod(0o755)
    await until(lambda: "down__echo" in names(servers))


async def test_a_server_that_ends_at_once_leaves_its_words(
    pool: Pool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In a log of its own and not on the terminal."""
    await pool({"sick": {"command": "sh", "args": ["-c", "echo no licence >&2; exit 3"]}})
    log = tmp_path / "mcp" / "sick.log"
    assert f"'sick' cannot be reached: Connection closed. It is tried again. See {log}" in (
        caplog.text
    )
    assert "no licence\n" in log.read_text()


async def test_a_wrong_file_is_refused_at_once(pool: Pool) -> None:
    """Before any server is started."""
    with pytest.raises(PerdureError, match="Server 'bad' in"):
        await pool({"bad": {}})


async def test_closing_ends_every_server(pool: Pool, playing: Entry) -> None:
    """Also one that is starting, and one that does not heed the end of its input."""
    deaf = ["-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"]
    before = {child.pid for child in psutil.Process().children()}
    servers = await pool(
        {"up": playing(), "deaf": {"command": sys.executable, "args": deaf}}, patience=2
    )
    await until(lambda: "up__pid" in names(servers))
    started = [child for child in psutil.Process().children() if child.pid not in before]
    assert len(started) == 2
    await servers.close()
    assert not any(child.is_running() for child in started)


WORKER = """
import asyncio, sys
from pathlib import Path
from perdure.tools.mcp.pool import McpServers

async def main():
    servers = McpServers([Path(sys.argv[1])], Path(sys.argv[2]), {})
    await servers.open()
    print(await servers.find("s__pid").call(None, {}), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_no_server_outlives_a_worker_that_is_killed(playing: Entry, tmp_path: Path) -> None:
    """The end of its input tells it."""
    file = tmp_path / ".mcp.json"
    file.write_text(json.dumps({"mcpServers": {"s": playing()}}))
    command = [sys.executable, "-c", WORKER, str(file), str(tmp_path / "mcp")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
        assert worker.stdout
        server = psutil.Process(int(await asyncio.to_thread(worker.stdout.readline)))
        os.kill(worker.pid, signal.SIGKILL)
    await until(lambda: not server.is_running())
