"""A stream of bytes to a program that the Docker engine starts in a container."""

import asyncio
import struct
from typing import Final
from urllib.parse import urlsplit

_ANSWER_SECONDS = 30.0
_LIMIT = 1024 * 1024
_ERROR_BYTES = 2000
_HEADER: Final = struct.Struct(">BxxxL")
"""Of one frame: which output the bytes are from, and how many they are."""
_STDERR = 2


async def open_stream(engine: str, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Start the prepared `exec` at `path` of the engine's API, and hold its input and output.

    Not by the SDK: what it hands out is the socket under a buffer that may have read ahead.

    Args:
        engine: `http+unix://PATH` or `http://HOST:PORT`.

    Raises:
        OSError: the engine cannot be reached or refuses; also what reading raises at the end,
            with what the program wrote to its standard error, if it did.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LIMIT, loop=loop)
    output = _Output(reader, loop)
    address = urlsplit(engine)
    if address.scheme == "http+unix":
        transport, _ = await loop.create_unix_connection(lambda: output, address.path)
    else:
        transport, _ = await loop.create_connection(
            lambda: output, address.hostname or "", address.port or 0
        )
    writer = asyncio.StreamWriter(transport, output, reader, loop)
    try:
        writer.write(_request(path))
        await asyncio.wait_for(output.accepted, _ANSWER_SECONDS)
    except BaseException:
        writer.close()
        raise
    return reader, writer


def _request(path: str) -> bytes:
    body = '{"Detach": false, "Tty": false}'
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: docker",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: Upgrade",
        "Upgrade: tcp",
    ]
    return "\r\n".join([*lines, "", body]).encode("ascii")


class _Output(asyncio.StreamReaderProtocol):
    """Takes what the engine sends apart: its answer, standard output for the reader, errors."""

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self.accepted: asyncio.Future[None] = loop.create_future()
        self._reader = reader
        self._unread = bytearray()
        self._errors = b""

    def data_received(self, data: bytes) -> None:
        self._unread += data
        if not self.accepted.done():
            self._take_answer()
        if self.accepted.done() and not self.accepted.cancelled():
            self._take_frames()

    def _take_answer(self) -> None:
        head, end, rest = self._unread.partition(b"\r\n\r\n")
        if not end:
            return
        status = head.split(b"\r\n", 1)[0].decode("latin-1")
        self._unread = rest
        if status.split()[1:2] in (["101"], ["200"]):
            self.accepted.set_result(None)
        else:
            self.accepted.set_exception(ConnectionRefusedError(f"the engine says '{status}'"))

    def _take_frames(self) -> None:
        while len(self._unread) >= _HEADER.size:
            source, size = _HEADER.unpack_from(self._unread)
            end = _HEADER.size + size
            if len(self._unread) < end:
                return
            payload = bytes(self._unread[_HEADER.size : end])
            del self._unread[:end]
            if source == _STDERR:
                self._errors = (self._errors + payload)[-_ERROR_BYTES:]
            else:
                self._reader.feed_data(payload)

    def eof_received(self) -> bool:
        self._end()
        return super().eof_received() or False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def _end(self) -> None:
        said = self._errors.decode("utf-8", "replace").strip()
        if not self.accepted.done():
            self.accepted.set_exception(ConnectionResetError("the engine hung up"))
        elif said:
            self._reader.set_exception(ConnectionResetError(said))
