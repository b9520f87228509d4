"""One client's connection to the server: its requests, of which many may be under way."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from . import frames
from .child import Died
from .operations import Refused
from .steps import Failed

Show = Callable[[bytes], Awaitable[None]]
"""Sends output while the request goes on."""

Handle = Callable[[dict[str, Any], bytes, Show], Awaitable[tuple[Any, bytes]]]
"""Takes a request, its data and `show`; gives a value and data."""


class Connection:
    """A client that is there, until it closes its end or `serve` is cancelled."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handle: Handle
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._handle = handle
        self._sending = asyncio.Lock()
        self._answering: set[asyncio.Task[None]] = set()

    async def serve(self, hello: dict[str, Any]) -> None:
        """Say hello, then answer; what was asked for by a client that goes is left unanswered."""
        try:
            await self._send(frames.encode({"hello": hello}))
            while request := await frames.receive(self._reader):
                task = asyncio.create_task(self._answer(*request))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
        except (OSError, frames.BrokenFrame):
            pass  # the client has gone
        finally:
            for task in self._answering:
                task.cancel()
            self._writer.close()

    async def _answer(self, request: dict[str, Any], data: bytes) -> None:
        number = request.get("n")
        try:
            value, answer = await self._handle(request, data, partial(self._show, number))
            reply = frames.encode({"n": number, "value": value}, answer)
        except Refused as refusal:
            reply = frames.encode({"n": number, "refused": str(refusal)})
        except (Failed, Died, frames.BrokenFrame) as failure:
            reply = frames.encode({"n": number, "failed": str(failure)})
        except ConnectionError:
            return  # the client has gone; `serve` learns it too
        except Exception as error:  # noqa: BLE001 - whatever it is, the client waits for an answer
            traceback.print_exc()
            reply = frames.encode({"n": number, "failed": f"The shim broke: {error!r}."})
        await self._send(reply)

    async def _show(self, number: Any, output: bytes) -> None:
        await self._send(frames.encode({"n": number, "event": "output"}, output))

    async def _send(self, frame: bytes) -> None:
        self._writer.write(frame)
        async with self._sending:
            await self._writer.drain()
