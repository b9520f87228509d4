"""Another way to the Docker engine, which a test can take away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from perdure.sandbox.docker.engine import Engine


@asynccontextmanager
async def forwarded(socket: Path | None = None) -> AsyncIterator[str]:
    """A DOCKER_HOST at `socket`, or at a port when there is none, until the block ends."""
    connections: set[asyncio.Task[None]] = set()
    engine = Engine().host.removeprefix("unix://")

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        await _join(reader, writer, engine)
        connections.discard(task)

    if socket is not None:
        server = await asyncio.start_unix_server(forward, socket)
        host = f"unix://{socket}"
    else:
        server = await asyncio.start_server(forward, "127.0.0.1", 0)
        host = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield host
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, engine: str) -> None:
    answers, requests = await asyncio.open_unix_connection(engine)
    copies = [
        asyncio.create_task(_copy(reader, requests)),
        asyncio.create_task(_copy(answers, writer)),
    ]
    try:
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for copy in copies:
            copy.cancel()
        writer.close()
        requests.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
