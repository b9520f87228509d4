"""The ways to a server: the pipes of a child process, and streamable HTTP."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Self

from mcp import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from perdure.tools.mcp.complaints import complaints
from perdure.tools.mcp.config import Endpoint, Program
from perdure.tools.mcp.courier import courier

_LARGEST_EVENT = 16_000_000
"""Bytes of one message of a server, of which the runner keeps a part."""

Streams = tuple[Any, Any]
"""For reading and for writing; their types are private to the client."""
Way = Callable[[Callable[[], None]], AbstractAsyncContextManager[Streams]]
"""Opens the streams to a server, and calls back once the server has ended them."""


def way(server: Program | Endpoint, log: Path) -> Way:
    """How to reach the server; what a program says on standard error goes to `log`."""
    if isinstance(server, Program):
        return lambda ended: _pipes(server, log, ended)
    return lambda ended: _requests(server, ended)


@asynccontextmanager
async def _pipes(server: Program, log: Path, ended: Callable[[], None]) -> AsyncGenerator[Streams]:
    # To these the client adds PATH, HOME and the like, and no other variable of this process.
    program = StdioServerParameters(command=server.command, args=server.args, env=server.env)
    with complaints(log) as pipe:
        async with stdio_client(program, errlog=pipe) as (reading, writing):
            pipe.close()  # the server's end, so that its own end is seen
            yield _Watched(reading, ended), writing


@asynccontextmanager
async def _requests(server: Endpoint, ended: Callable[[], None]) -> AsyncGenerator[Streams]:
    async with (
        courier(server) as client,
        streamable_http_client(
            server.url, http_client=client, max_sse_event_size=_LARGEST_EVENT
        ) as (reading, writing),
    ):
        yield _Watched(reading, ended), writing


class _Watched:
    """A stream that tells at once when it has ended: the client would tell its next caller."""

    def __init__(self, stream: Any, ended: Callable[[], None]) -> None:
        self._stream = stream
        self._ended = ended

    async def receive(self) -> Any:
        return await self._stream.receive()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._stream.__anext__()
        except StopAsyncIteration:
            self._ended()
            raise

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()
