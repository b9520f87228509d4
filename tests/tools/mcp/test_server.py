"""Calls to a server that is started here: their results, and what happens when it fails."""

import asyncio
import os
import re
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from perdure.errors import OutcomeUnknown, ToolError
from perdure.tools.mcp.pool import McpServers

Entry = Callable[..., dict[str, Any]]
Pool = Callable[..., Awaitable[McpServers]]
Call = Callable[..., Coroutine[Any, Any, str]]


async def kill(pid: int) -> None:
    """Kill a server, and let its end be seen."""
    server = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    with suppress(psutil.NoSuchProcess):
        while server.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)


async def test_results_come_back_as_text(pool: Pool, playing: Entry, call: Call) -> None:
    """Texts joined, a note of each part that is none, and JSON when there is nothing else."""
    servers = await pool({"s": playing()})
    assert await call(servers, "s__echo", text="a\0é") == "a\\x00é"
    assert await call(servers, "s__numbers") == '{"numbers":[1,2]}'
    assert await call(servers, "s__parts") == (
        "first\n[image/png, 12 kB]\n[audio/wav, 3 bytes]\n[resource, file:///a.csv, text/csv, 2 kB]"
        "\n[resource, memo://1, text/plain]\na memo"
    )


async def test_a_tool_is_called_by_the_servers_name(pool: Pool, playing: Entry, call: Call) -> None:
    """Whatever models have to call it."""
    servers = await pool({"my server": playing()})
    [name] = [tool.name for tool in servers.tools() if "odd" in tool.name]
    assert re.fullmatch(r"my_server-[0-9a-f]{8}__odd_name_.*-[0-9a-f]{8}", name)
    assert await call(servers, name) == "odd"


async def test_a_failing_tool_is_the_models_to_handle(
    pool: Pool, playing: Entry, old: dict[str, Any], call: Call
) -> None:
    """Whether the tool fails or the server refuses the call."""
    servers = await pool({"s": playing(), "old": old})
    with pytest.raises(ToolError, match="Error executing tool fail"):
        await call(servers, "s__fail")
    with pytest.raises(ToolError, match="'old' failed: it refused the call: no such thing") as it:
        await call(servers, "old__dated")
    assert not isinstance(it.value, OutcomeUnknown), "the server says that it did nothing"


async def test_a_late_call_loses_nothing(
    pool: Pool, playing: Entry, call: Call, tmp_path: Path
) -> None:
    """The next call is answered by the same server, and so is one that runs meanwhile."""
    servers = await pool({"s": playing(timeout=1), "t": playing()})
    first = await call(servers, "s__pid")
    other = asyncio.create_task(call(servers, "t__sleep", seconds=1.5))
    with pytest.raises(ToolError, match="'s' failed: it did not answer within 1 s") as late:
        await call(servers, "s__sleep", seconds=60)
    assert not isinstance(late.value, OutcomeUnknown)
    with pytest.raises(OutcomeUnknown, match="did not answer within 1 s. The call was not rep"):
        await call(servers, "s__add", path=str(tmp_path / "a"), seconds=60)
    assert await call(servers, "s__pid") == first
    assert await other == "slept"


async def test_a_server_that_stood_still_loses_nothing(
    pool: Pool, playing: Entry, call: Call
) -> None:
    """A call that it cannot even read is late as well."""
    servers = await pool({"s": playing(timeout=1)})
    server = psutil.Process(int(await call(servers, "s__pid")))
    server.suspend()
    with pytest.raises(ToolError, match="did not answer within 1 s"):
        await call(servers, "s__echo", text="x" * 1_000_000)
    server.resume()
    assert await call(servers, "s__pid") == str(server.pid)


async def test_a_killed_server_is_started_again(
    pool: Pool, playing: Entry, call: Call, tmp_path: Path
) -> None:
    """By the next call, whatever the call does."""
    servers = await pool({"s": playing()})
    first = await call(servers, "s__pid")
    await kill(int(first))
    assert await call(servers, "s__add", path=str(tmp_path / "a")) == "added"
    assert await call(servers, "s__pid") != first


async def test_calls_that_a_kill_interrupts(
    pool: Pool, playing: Entry, call: Call, tmp_path: Path
) -> None:
    """What only reads is repeated; of the rest it is said that nobody knows."""
    servers = await pool({"s": playing()})
    pid = int(await call(servers, "s__pid"))
    file = tmp_path / "a"
    reading = asyncio.create_task(call(servers, "s__sleep", seconds=1))
    adding = asyncio.create_task(call(servers, "s__add", path=str(file), seconds=60))
    while not file.exists():
        await asyncio.sleep(0.01)
    await kill(pid)
    assert await reading == "slept"
    with pytest.raises(OutcomeUnknown, match="the connection broke during the call"):
        await adding
    assert file.read_text() == "added\n"


async def test_a_cancelled_call_leaves_the_connection(
    pool: Pool, playing: Entry, call: Call
) -> None:
    """The server is the same afterwards."""
    servers = await pool({"s": playing()})
    first = await call(servers, "s__pid")
    waiting = asyncio.create_task(call(servers, "s__sleep", seconds=60))
    await asyncio.sleep(0.2)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await call(servers, "s__pid") == first


async def test_calls_share_one_connection(pool: Pool, playing: Entry, call: Call) -> None:
    """They run at the same time; so do those that have to wait for a new connection."""
    servers = await pool({"s": playing()})
    first = await call(servers, "s__pid")
    async with asyncio.timeout(10):
        await asyncio.gather(*(call(servers, "s__sleep", seconds=0.5) for _ in range(40)))
    await kill(int(first))
    pids = await asyncio.gather(*(call(servers, "s__pid") for _ in range(20)))
    assert len(set(pids)) == 1


async def test_a_caller_that_gives_up_leaves_the_opening_to_others(
    pool: Pool, playing: Entry, call: Call
) -> None:
    """They wait for the same new connection."""
    servers = await pool({"s": playing()})
    await kill(int(await call(servers, "s__pid")))
    hasty = asyncio.create_task(call(servers, "s__pid"))
    patient = asyncio.create_task(call(servers, "s__pid"))
    await asyncio.sleep(0.05)
    hasty.cancel()
    assert int(await patient)


async def test_a_server_sees_no_keys(
    pool: Pool, playing: Entry, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has what its entry gives it, and PATH and the like."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("DATABASE_URL", "postgres://me:sk-secret@db")
    entry = playing(env={"MINE": "${GIVEN}"})
    servers = await pool({"s": entry}, environment={"GIVEN": "yes"})
    seen = await call(servers, "s__environment")
    assert "sk-secret" not in seen
    assert "DATABASE_URL" not in seen
    assert '"MINE": "yes"' in seen
    assert '"PATH"' in seen


async def test_complaints_go_to_the_servers_log(
    pool: Pool, playing: Entry, call: Call, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A flood of them neither blocks the server nor reaches the terminal."""
    servers = await pool({"s": playing()})
    assert await call(servers, "s__complain", times=2000) == "said"
    assert await call(servers, "s__echo", text="still here") == "still here"
    assert (tmp_path / "mcp" / "s.log").stat().st_size > 1_000_000
    assert "xxxx" not in capfd.readouterr().err


async def test_a_server_that_went_missing_is_the_models_to_handle(
    pool: Pool, tmp_path: Path, playing: Entry, call: Call
) -> None:
    """Its tools stay; a call of one says why there is no result."""
    program = tmp_path / "serve"
    entry = playing()
    program.write_text(f"#!/bin/sh\nexec {entry['command']} {entry['args'][0]}\n")
    program.chmod(0o755)
    servers = await pool({"s": {"command": str(program)}})
    pid = int(await call(servers, "s__pid"))
    program.unlink()
    await kill(pid)
    with pytest.raises(ToolError, match="MCP server 's' cannot be reached: its command .* is not"):
        await call(servers, "s__echo", text="a")
    assert servers.find("s__echo") is not None
