"""Servers that are reached by HTTP: restarted, gone, refusing, of either protocol."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from perdure.errors import OutcomeUnknown, ToolError
from perdure.hosting.ports import free_port
from perdure.tools.mcp.pool import McpServers

Pool = Callable[..., Awaitable[McpServers]]
Call = Callable[..., Coroutine[Any, Any, str]]

PLAYING = Path(__file__).parent / "playing.py"


class Served:
    """A server on a port of its own, which can be restarted there."""

    def __init__(self, *options: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/mcp"
        self.entry: dict[str, Any] = {"type": "http", "url": self.url}
        self._command = [sys.executable, str(PLAYING), "--port", str(port), *options]

    async def start(self) -> None:
        self.process = subprocess.Popen(self._command)
        async with asyncio.timeout(30), httpx.AsyncClient() as client:
            while True:
                try:
                    await client.get(self.url)
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
                else:
                    return

    async def kill(self) -> None:
        self.process.kill()
        await asyncio.to_thread(self.process.wait)


@pytest_asyncio.fixture(params=["new", "old"])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    """A server of the newer protocol, and one that answers in sessions."""
    server = Served(*(["--old"] if request.param == "old" else []))
    await server.start()
    yield server
    await server.kill()


async def test_tools_are_listed_and_called(pool: Pool, call: Call, served: Served) -> None:
    """As those of a program are; calls at the same time do not wait for each other."""
    servers = await pool({"s": served.entry})
    assert await call(servers, "s__echo", text="hello") == "hello"
    async with asyncio.timeout(10):
        await asyncio.gather(*(call(servers, "s__sleep", seconds=0.5) for _ in range(40)))
    with pytest.raises(ToolError, match="Error executing tool fail"):
        await call(servers, "s__fail")


async def test_a_large_result_arrives(pool: Pool, call: Call, served: Served) -> None:
    """More than the client takes by itself."""
    servers = await pool({"s": served.entry})
    assert len(await call(servers, "s__echo", text="x" * 3_000_000)) == 3_000_000


async def test_a_restarted_server_is_found_again(
    pool: Pool, call: Call, served: Served, tmp_path: Path
) -> None:
    """The call that finds its session gone is carried out in a new one, once."""
    servers = await pool({"s": served.entry})
    first = await call(servers, "s__pid")
    await served.kill()
    with pytest.raises(ToolError, match="MCP server 's' failed: it cannot be reached") as down:
        await call(servers, "s__add", path=str(tmp_path / "a"))
    assert not isinstance(down.value, OutcomeUnknown), "it is certain that nothing was done"
    await served.start()
    assert await call(servers, "s__add", path=str(tmp_path / "a")) == "added"
    assert (tmp_path / "a").read_text() == "added\n"
    assert await call(servers, "s__pid") != first


async def test_calls_that_a_kill_interrupts(
    pool: Pool, call: Call, served: Served, tmp_path: Path
) -> None:
    """Of one that may have taken effect it is said that nobody knows."""
    servers = await pool({"s": served.entry})
    adding = asyncio.create_task(call(servers, "s__add", path=str(tmp_path / "a"), seconds=60))
    while not (tmp_path / "a").exists():
        await asyncio.sleep(0.01)
    await served.kill()
    with pytest.raises(OutcomeUnknown, match="the connection broke"):
        await adding


async def test_a_late_call_loses_nothing(pool: Pool, call: Call, served: Served) -> None:
    """Not even when the whole server stood still for a while."""
    servers = await pool({"s": served.entry | {"timeout": 1}})
    first = await call(servers, "s__pid")
    with pytest.raises(ToolError, match="did not answer within 1 s"):
        await call(servers, "s__sleep", seconds=60)
    assert await call(servers, "s__pid") == first
    served.process.send_signal(signal.SIGSTOP)
    with pytest.raises(ToolError, match="did not answer within 1 s"):
        await call(servers, "s__echo", text="a")
    served.process.send_signal(signal.SIGCONT)
    assert await call(servers, "s__pid") == first


async def test_a_change_of_the_list_is_seen(pool: Pool, call: Call, served: Served) -> None:
    """By the stream on which each protocol tells of it."""
    servers = await pool({"s": served.entry})
    await asyncio.sleep(0.5)
    await call(servers, "s__grow")
    async with asyncio.timeout(20):
        while servers.find("s__grown") is None:
            await asyncio.sleep(0.05)


async def answering(answer: bytes, seen: bytearray) -> tuple[asyncio.Server, str]:
    """A server that answers every request alike, and its address; what it reads is in `seen`."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(reply, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", "it answered 401 Unauthorized"),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nno", "it answered 503 Busy"),
        (b"", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 0\r\n\r\n", "Unexpected"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n[]",
            "Failed to parse",
        ),
    ],
)
async def test_what_is_no_server_is_named(
    pool: Pool, caplog: pytest.LogCaptureFixture, answer: bytes, cause: str
) -> None:
    """With its status, which says what to mend."""
    server, url = await answering(answer, bytearray())
    async with server:
        opened = await pool({"s": {"url": url}})
        await opened.close()
    assert f"MCP server 's' cannot be reached: {cause}" in caplog.text


async def test_headers_are_sent(
    pool: Pool, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """A key among them is written nowhere else."""
    seen = bytearray()
    server, url = await answering(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n", seen)
    entry = {"url": url, "headers": {"Authorization": "Bearer ${KEY}"}}
    async with server:
        opened = await pool({"s": entry}, environment={"KEY": "sk-1"})
        await opened.close()
    assert b"authorization: bearer sk-1" in bytes(seen).lower()
    assert "sk-1" not in caplog.text
