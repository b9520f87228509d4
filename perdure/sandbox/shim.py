"""The way to a shim: many calls at once over one stream of bytes."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from itertools import count
from typing import Any, Self

from perdure.errors import ToolError
from perdure.sandbox.inside import frames
from perdure.sandbox.sandbox import Changed, Command, Outcome, SandboxError, SandboxLost

_HELLO_SECONDS = 20.0
_STOP_SECONDS = 30.0
_ANSWER_SECONDS = 300.0
"""Longer than any operation may take; one that has not answered by then never will."""
_LONGEST_COMMAND = 1200.0

_Reply = tuple[dict[str, Any], bytes]


class Shim:
    """A sandbox whose shim is at the other end of a stream."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        kind: str,
        hello: dict[str, Any],
    ) -> None:
        self.kind = kind
        self.incarnation = str(hello["incarnation"])
        self.is_ready = bool(hello["ready"])
        self._reader = reader
        self._writer = writer
        self._numbers = count(1)
        self._calls: dict[int, asyncio.Queue[_Reply | None]] = {}
        self._sending = asyncio.Lock()
        self._open = True
        self._listener = asyncio.create_task(self._listen())

    @classmethod
    async def connect(
        cls, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, kind: str
    ) -> Self:
        """A shim, once it has said hello.

        Raises:
            SandboxLost: it did not; the stream is the caller's to close.
        """
        try:
            said = await asyncio.wait_for(frames.receive(reader), _HELLO_SECONDS)
            if said is None:
                raise SandboxLost("The sandbox's shim ended before it said hello.")
            return cls(reader, writer, kind=kind, hello=said[0]["hello"])
        except (OSError, TimeoutError, LookupError, TypeError, frames.BrokenFrame) as error:
            raise SandboxLost(f"The sandbox's shim does not answer: {error!r}.") from error

    async def make_ready(self) -> None:
        await self._ask("ready", {})
        self.is_ready = True

    async def run(self, step: str, command: Command, show: Callable[[bytes], None]) -> Outcome:
        return await self._outcome("run", step, command, show)

    async def recall(self, step: str, command: Command, show: Callable[[bytes], None]) -> Outcome:
        return await self._outcome("recall", step, command, show)

    async def stop(self, step: str) -> None:
        try:
            await asyncio.wait_for(self._ask("stop", {"step": step}), _STOP_SECONDS)
        except TimeoutError:
            raise SandboxLost(f"A command lives on {_STOP_SECONDS:g} s after its end.") from None

    async def operate(
        self, operation: str, arguments: dict[str, Any], data: bytes = b""
    ) -> tuple[Any, bytes]:
        return await self._ask("operate", {"operation": operation, "arguments": arguments}, data)

    async def changes(self, base: str | None) -> Changed | None:
        value, _ = await self._ask("changes", {"base": base})
        if value.get("unknown"):
            return None
        return Changed(value["id"], value["changes"], value["notes"])

    async def adopt(self, base: str, entries: dict[str, Any]) -> None:
        await self._ask("adopt", {"id": base}, json.dumps(entries).encode("ascii"))

    async def pieces(self, wanted: list[tuple[str, int, int]]) -> bytes:
        _, data = await self._ask("pieces", {"pieces": wanted})
        return data

    async def end(self) -> None:
        """End the shim and all that runs in the sandbox."""
        await self._ask("end", {})

    async def close(self) -> None:
        self._lose()
        self._listener.cancel()
        self._writer.transport.abort()  # a sandbox that hangs would never take what is unsent
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _outcome(
        self, op: str, step: str, command: Command, show: Callable[[bytes], None]
    ) -> Outcome:
        arguments: dict[str, Any] = {"step": step, "digest": digest(command)}
        if op == "run":
            arguments["command"] = _plain(command)
        data = command.stdin if op == "run" else b""
        seconds = (command.seconds or _LONGEST_COMMAND) + _ANSWER_SECONDS
        value, printed = await self._ask(op, arguments, data, show, seconds=seconds)
        head = value.pop("head")
        return Outcome(**value, head=printed[:head], tail=printed[head:])

    async def _ask(
        self,
        op: str,
        arguments: dict[str, Any],
        data: bytes = b"",
        show: Callable[[bytes], object] = len,
        seconds: float = _ANSWER_SECONDS,
    ) -> tuple[Any, bytes]:
        number = next(self._numbers)
        replies = self._calls[number] = asyncio.Queue()
        try:
            async with asyncio.timeout(seconds):
                await self._send({"n": number, "op": op, "arguments": arguments}, data)
                while (reply := await replies.get()) is not None:
                    if "event" not in reply[0]:
                        return _value(*reply)
                    show(reply[1])
        except TimeoutError:
            raise SandboxLost(f"The sandbox's shim has not answered in {seconds:g} s.") from None
        finally:
            del self._calls[number]
        raise SandboxLost("The connection to the sandbox's shim was lost.")

    async def _send(self, message: dict[str, Any], data: bytes) -> None:
        if not self._open:
            raise SandboxLost("The connection to the sandbox's shim is closed.")
        try:
            self._writer.write(frames.encode(message, data))
            async with self._sending:
                await self._writer.drain()
        except OSError as error:
            raise SandboxLost(f"The connection to the sandbox's shim broke: {error}.") from error
        except frames.BrokenFrame as error:
            raise ToolError(str(error)) from error

    async def _listen(self) -> None:
        try:
            while reply := await frames.receive(self._reader):
                if calls := self._calls.get(reply[0].get("n", 0)):
                    calls.put_nowait(reply)
        except (OSError, frames.BrokenFrame):
            pass  # as good as closed; those who wait are told below
        finally:
            self._lose()

    def _lose(self) -> None:
        self._open = False
        for replies in self._calls.values():
            replies.put_nowait(None)


def digest(command: Command) -> str:
    """What two attempts at one step must have in common."""
    said = [command.argv, sorted(command.environment.items()), command.folder]
    text = json.dumps(said, separators=(",", ":")).encode("ascii")
    return blake2b(text + b"\n" + command.stdin, digest_size=20).hexdigest()


def _plain(command: Command) -> dict[str, Any]:
    return {
        "argv": list(command.argv),
        "environment": dict(command.environment),
        "seconds": command.seconds,
        "folder": command.folder,
    }


def _value(reply: dict[str, Any], data: bytes) -> tuple[Any, bytes]:
    if "refused" in reply:
        raise ToolError(reply["refused"])
    if "failed" in reply:
        raise SandboxError(reply["failed"])
    return reply["value"], data
