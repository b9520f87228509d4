"""The frames that a shim and its clients exchange: a line of JSON, then perhaps raw bytes."""

import asyncio
import json
from typing import Any, BinaryIO

LIMIT = 64 * 1024 * 1024
"""Bytes that a frame's line, and the data after it, may have each."""


class BrokenFrame(Exception):
    """The other side does not keep to the format, or has gone in the middle of a frame."""


def encode(message: dict[str, Any], data: bytes = b"") -> bytes:
    """The frame of this message; one that would be refused at the other end is an error here."""
    if data:
        message = {**message, "size": len(data)}
    line = json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"
    if max(len(line), len(data)) > LIMIT:
        raise BrokenFrame(f"A frame of {len(line) + len(data)} bytes is over the limit of {LIMIT}.")
    return line + data


async def receive(reader: asyncio.StreamReader) -> tuple[dict[str, Any], bytes] | None:
    """The next message and its data; None at the end of the stream."""
    line = await _line(reader)
    if not line:
        return None
    message = _message(line)
    try:
        return message, await reader.readexactly(_size(message))
    except asyncio.IncompleteReadError:
        raise BrokenFrame("The stream ended in the middle of a frame's data.") from None


def read(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """As `receive`, from a file."""
    line = stream.readline(LIMIT + 1)
    if not line:
        return None
    message = _message(line)
    data = stream.read(_size(message))
    if len(data) < _size(message):
        raise BrokenFrame("The stream ended in the middle of a frame's data.")
    return message, data


async def _line(reader: asyncio.StreamReader) -> bytes:
    # A line may be longer than the reader's own limit, which bounds what it holds unread.
    parts: list[bytes] = []
    while sum(map(len, parts)) <= LIMIT:
        try:
            parts.append(await reader.readuntil(b"\n"))
        except asyncio.LimitOverrunError as error:
            parts.append(await reader.readexactly(error.consumed))
            continue
        except asyncio.IncompleteReadError as error:
            parts.append(error.partial)
        break
    return b"".join(parts)


def _message(line: bytes) -> dict[str, Any]:
    if len(line) > LIMIT or not line.endswith(b"\n"):
        raise BrokenFrame(f"A frame's line is cut off, or over the limit of {LIMIT} bytes.")
    try:
        message = json.loads(line)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        raise BrokenFrame(f"A frame does not begin with a line of JSON: {line[:80]!r}.")
    return message


def _size(message: dict[str, Any]) -> int:
    size = message.get("size", 0)
    if not isinstance(size, int) or not 0 <= size <= LIMIT:
        raise BrokenFrame(f"A frame's size is {size!r}; it must be from 0 to {LIMIT} bytes.")
    return size
