"""A real HTTP server on 127.0.0.1 that says what a test wants it to say, byte by byte."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


def reply(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """A whole HTTP reply; `content_type` and the like become its headers."""
    fields = {"content-length": str(len(body)), "connection": "close"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


def redirect(url: str) -> bytes:
    return reply(status="302 Found", location=url)


class Loopback:
    """Listens for as long as its `async with` block lasts; what it does not know is 404."""

    def __init__(
        self, answers: Mapping[str, Answer] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.answers = dict(answers or {})
        """By path, without the query."""
        self.requests: list[str] = []
        """Whole requests, as they came."""
        self._tls = tls
        self._served: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._served:
            writer.transport.abort()
        await asyncio.gather(*self._served.values())
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._served[writer] = task
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has seen enough
        finally:
            writer.close()
            del self._served[writer]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        sizes = [line[15:] for line in head.lower().split("\r\n") if "content-length:" in line]
        body = await reader.readexactly(int(sizes[0])) if sizes else b""
        self.requests.append(head + body.decode())
        path = head.split(" ")[1].partition("?")[0]
        answer = self.answers.get(path, reply(status="404 Not Found"))
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
        else:
            await answer(writer)
