"""A command's output: the beginning goes to a file at once, the end is kept in memory."""

import os
from collections import deque
from contextlib import suppress
from pathlib import Path


class Output:
    """Takes any amount; keeps up to `most` bytes, half of them from the end."""

    def __init__(self, file: Path, most: int) -> None:
        self.total = 0
        self._half = most // 2
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, chunk: bytes) -> None:
        self.total += len(chunk)
        room = self._half - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            self._show(chunk[:room])
            chunk = chunk[room:]
        if chunk:
            self._keep(chunk)

    def head(self) -> bytes:
        return bytes(self._head)

    def tail(self) -> bytes:
        return b"".join(self._tail)[-self._half :] if self._half else b""

    def close(self) -> None:
        os.close(self._file)

    def _show(self, chunk: bytes) -> None:
        with suppress(OSError):  # on a full disk nobody sees it live, but it is not lost
            while chunk:
                chunk = chunk[os.write(self._file, chunk) :]

    def _keep(self, chunk: bytes) -> None:
        self._tail.append(chunk)
        self._tail_size += len(chunk)
        while self._tail_size - len(self._tail[0]) >= self._half:
            self._tail_size -= len(self._tail.popleft())
