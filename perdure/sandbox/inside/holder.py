"""A process that holds a folder's lock while it lives, and leaves its id there."""

import fcntl
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic

LOCK = "lock"
PID = "pid"
_PATIENCE_SECONDS = 15.0


class Holder:
    """The process that a folder belongs to, if it lives; anyone may ask, at any time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def is_running(self) -> bool:
        try:
            lock = os.open(self.folder / LOCK, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def signal(self, number: int) -> bool:
        """Send it a signal; False while it has not yet said which process it is."""
        with suppress(FileNotFoundError, ValueError, ProcessLookupError):
            pid = int((self.folder / PID).read_text())
            if self.is_running:  # or the number may be another process's by now
                os.kill(pid, number)
            return True
        return False


async def end(holder: Holder, pause: Callable[[], Awaitable[None]]) -> None:
    """Ask the process to end, kill it if it does not, and return when it has ended."""
    began, asked = monotonic(), False
    while holder.is_running:
        if monotonic() - began > _PATIENCE_SECONDS:
            holder.signal(signal.SIGKILL)
        elif not asked:
            asked = holder.signal(signal.SIGTERM)
        await pause()


def take(folder: Path) -> int | None:
    """Lock the folder for this process and its children; the open lock, None if it is held."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
