"""What a server says on standard error, kept in a log file of bounded size."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from perdure.hosting.logs import open_log

_PIECE = 65_536
_LOOK_AGAIN = 1_000_000
"""So many bytes are written before it is seen whether the log has grown large."""


@contextmanager
def complaints(path: Path) -> Iterator[TextIO]:
    """A file for a child's standard error, copied to the log until the block ends.

    A pipe and not the log itself, which the child could fill without end.
    """
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    copy = _Copy(reading, path)
    loop = asyncio.get_running_loop()
    loop.add_reader(reading, copy.take)
    try:
        with os.fdopen(writing, "w") as pipe:
            yield pipe
    finally:
        loop.remove_reader(reading)
        with suppress(BlockingIOError):
            copy.take()  # its last words
        copy.close()


class _Copy:
    """Carries what comes out of a pipe to a log."""

    def __init__(self, reading: int, path: Path) -> None:
        self._reading = reading
        self._path = path
        self._log = open_log(path)
        self._written = 0

    def take(self) -> None:
        piece = os.read(self._reading, _PIECE)
        if not piece:
            asyncio.get_running_loop().remove_reader(self._reading)
            return
        self._log.write(piece)
        self._written += len(piece)
        if self._written > _LOOK_AGAIN:
            self._log.close()
            self._log, self._written = open_log(self._path), 0

    def close(self) -> None:
        self._log.close()
        os.close(self._reading)
