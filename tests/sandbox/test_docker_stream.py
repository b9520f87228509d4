"""The stream to a program in a container, from a server that talks as Docker's does."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from perdure.sandbox.docker.stream import open_stream

ACCEPTED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
OUT, ERR = 1, 2


async def test_output_that_comes_with_the_answer_is_not_lost() -> None:
    """One packet may hold the end of the HTTP headers and the program's first words."""
    async with engine(ACCEPTED + frame(OUT, b"hello\n")) as address:
        reader, writer = await open_stream(address, "/exec/1/start")
        assert await reader.readline() == b"hello\n"
        writer.close()


async def test_frames_may_come_in_any_pieces() -> None:
    """A byte at a time, with errors in between that are no output."""
    sent = ACCEPTED + frame(OUT, b"one ") + frame(ERR, b"oops") + frame(OUT, b"two\n")
    async with engine(*(bytes([byte]) for byte in sent)) as address:
        reader, writer = await open_stream(address, "/exec/1/start")
        assert await reader.readline() == b"one two\n"
        writer.close()


async def test_what_is_written_arrives_as_it_is() -> None:
    """Input has no frames."""
    async with engine(ACCEPTED, echo=True) as address:
        reader, writer = await open_stream(address, "/exec/1/start")
        writer.write(b"\x00\x01 input\n")
        assert await reader.readline() == b"\x00\x01 input\n"
        writer.close()


async def test_the_end_without_an_error_is_an_end() -> None:
    """The reader gets what there was and then nothing."""
    async with engine(ACCEPTED + frame(OUT, b"last")) as address:
        reader, writer = await open_stream(address, "/exec/1/start")
        assert await reader.read() == b"last"
        writer.close()


async def test_the_end_after_an_error_says_what_the_error_was() -> None:
    """A relay that finds no shim says so on its standard error."""
    async with engine(ACCEPTED + frame(ERR, b"No shim listens.\n")) as address:
        reader, writer = await open_stream(address, "/exec/1/start")
        with pytest.raises(ConnectionResetError, match="No shim listens"):
            await reader.readline()
        writer.close()


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\n{}", "409 Conflict"),
        (b"", "hung up"),
    ],
)
async def test_a_refusal_is_an_error(sent: bytes, said: str) -> None:
    """A container that has stopped, an engine that stops."""
    async with engine(sent) as address:
        with pytest.raises(OSError, match=said):
            await open_stream(address, "/exec/1/start")


def frame(source: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", source, len(data)) + data


@asynccontextmanager
async def engine(*sent: bytes, echo: bool = False) -> AsyncIterator[str]:
    """The address of a server that answers a request with these pieces, and hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"}")
        for piece in sent:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if echo:
            writer.write(frame(OUT, await reader.readline()))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    yield f"http://{host}:{port}"
    server.close()
    await server.wait_closed()
