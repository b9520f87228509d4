"""A lock on a file that ends with its holder, however the holder ends."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_POLL_SECONDS = 0.02


class FileLock:
    """A `flock`: several may hold it shared, or one exclusively."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def try_acquire(self, *, shared: bool = False) -> bool:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(self.file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    async def acquire(self, *, shared: bool = False, seconds: float) -> bool:
        """Wait for the lock; False when it was not to be had within `seconds`."""
        clock = asyncio.get_running_loop()
        deadline = clock.time() + seconds
        while not self.try_acquire(shared=shared):
            if clock.time() > deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    def release(self) -> None:
        fcntl.flock(self.file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of it; a child process that inherited the file still holds the lock."""
        os.close(self.file)

    def read(self) -> str:
        return os.pread(self.file, 1000, 0).decode()

    def write(self, note: str) -> None:
        """Note beside the lock who holds it."""
        os.ftruncate(self.file, 0)
        os.pwrite(self.file, note.encode(), 0)


@asynccontextmanager
async def held(path: Path, seconds: float) -> AsyncIterator[None]:
    """Hold the lock exclusively; raises TimeoutError when it is not to be had in time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        if not await lock.acquire(seconds=seconds):
            raise TimeoutError(f"{path} was held by another process for {seconds:g} s")
        yield
    finally:
        lock.close()


def is_held(path: Path) -> bool:
    """Whether some process holds the lock exclusively."""
    lock = FileLock(path)
    try:
        return not lock.try_acquire(shared=True)
    finally:
        lock.close()
