"""Places in a workspace: no path that a tool is given leads out of it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from .refusal import Refused

_LONGEST_NAME = 255
"""Bytes in one name, on every common file system."""
_LONGEST_PATH = 3000
"""Bytes in a path; the system's 4096 hold the workspace's own path as well."""
_LOCK_SECONDS = 20.0
_LOCK_POLL_SECONDS = 0.002


def resolve(root: Path, path: str) -> Path:
    """The real place of `path`, relative to the workspace `root`, whether it exists or not.

    Raises:
        Refused: the path is none, or leads out of the workspace.
    """
    _check(path)
    real = os.path.realpath(root)
    # The last component too: a dangling link to a place outside would be created there.
    try:
        place = Path(os.path.realpath(Path(real, path)))
    except OSError as error:  # a link on the way was replaced in that moment
        raise Refused(f"Path {path!r} cannot be followed: {error.strerror}.") from error
    if not place.is_relative_to(real):
        raise Refused(f"Path {path!r} leads out of the workspace, through a symbolic link.")
    return place


def name(root: Path, place: Path) -> str:
    """The path that tools know a resolved `place` by."""
    return str(place.relative_to(os.path.realpath(root)))


@contextmanager
def alone(root: Path, *, seconds: float = _LOCK_SECONDS) -> Iterator[None]:
    """One writer at a time, in every process: the calls of one reply run in parallel.

    Raises:
        Refused: others had the workspace for all these seconds.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(folder, seconds)
        yield
    finally:
        os.close(folder)  # lets go of the lock; so does the kernel when the process is killed


def _lock(folder: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not _try_lock(folder):
        if time.monotonic() > deadline:  # a command can lock its workspace too
            raise Refused("The workspace is locked by another program; end that one first.")
        time.sleep(_LOCK_POLL_SECONDS)


def _try_lock(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check(path: str) -> None:
    parts = PurePosixPath(path).parts
    if "\0" in path or not _is_encodable(path):
        raise Refused(f"Path {path!r} contains a character that no file name can hold.")
    if path.startswith("/"):
        raise Refused(f"Path {path!r} is absolute; give it relative to the workspace.")
    if ".." in parts:
        raise Refused(f"Path {path!r} contains '..'; give it relative to the workspace.")
    sizes = [len(os.fsencode(part)) for part in parts]
    if max(sizes, default=0) > _LONGEST_NAME or sum(sizes) + len(sizes) > _LONGEST_PATH:
        raise Refused(f"Path {path[:60] + '…'!r} is too long for a file name; use a shorter one.")


def _is_encodable(path: str) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True
