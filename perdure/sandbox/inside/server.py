"""The server of one sandbox: it outlives its clients, and ends when nobody needs the sandbox."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from time import monotonic
from typing import Any

from .connection import Connection, Show
from .requests import Answer, Requests
from .steps import Failed, Steps

SOCKET = "shim.sock"
_LOOK_SECONDS = 30.0


class Server:
    """Answers requests about one workspace; the working directory is its state folder."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._lease: float = config["lease_seconds"]
        self._incarnation = token_hex(8)
        self._steps = Steps(Path("steps").absolute(), config)
        self._requests = Requests(config, self._steps)
        self._clients: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()

    async def serve(self, tell_ready: Callable[[], None]) -> None:
        """Serve until it is asked to end, or nobody has needed it for the time of its lease."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        loop.add_signal_handler(signal.SIGTERM, self._ending.set)
        server = await asyncio.start_unix_server(self._meet, SOCKET)  # replaces a dead one's
        tell_ready()
        expiry = asyncio.create_task(self._expire())
        await self._ending.wait()
        server.close()
        for task in [expiry, *self._clients]:
            task.cancel()
        await asyncio.gather(*map(self._steps.stop, self._steps.running()))

    async def handle(self, request: dict[str, Any], data: bytes, show: Show) -> Answer:
        """Carry out one request, by its `op`."""
        if request.get("op") == "end":
            self._ending.set()
            return None, b""
        carry_out = self._requests.by_name.get(request.get("op", ""))
        if carry_out is None:
            raise Failed(f"The request {request.get('op')!r} is unknown to this shim.")
        return await carry_out(request["arguments"], data, show)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.current_task()
        assert client is not None
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)
        hello = {"incarnation": self._incarnation, "ready": self._requests.is_ready}
        await Connection(reader, writer, self.handle).serve(hello)

    async def _expire(self) -> None:
        needed = monotonic()
        while monotonic() - needed < self._lease and _is_there():
            await asyncio.sleep(min(self._lease / 4, _LOOK_SECONDS))
            if self._clients or self._steps.running():
                needed = monotonic()
        self._ending.set()

    def _reap(self) -> None:
        # Of all children, orphans of commands included when this is a container's first process.
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        self._steps.wake()


def _is_there() -> bool:
    """Whether the sandbox has not been removed, as it may be while its shim is being started."""
    return Path().stat().st_nlink > 0
