"""Writing a recorded state into a folder, without following a link in it.

It comes in batches. Each may make entries, write contents and settle what is complete; folders are
settled last, deepest first, since one that is read-only takes nothing more. A batch that has been
carried out already, or half of it, can be carried out again.
"""

import os
import stat
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

from .descent import Descent, opened, set_mode, split

_BLOCK = 4096
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def restore(root: Path, arguments: dict[str, Any], data: bytes) -> tuple[None, bytes]:
    """The operation `restore`.

    `make` and `settle` are entries by path, parents first in the one and last in the other;
    `write` is a list of [path, offset, length], whose contents `data` has one after the other.
    """
    contents = BytesIO(data)
    with closing(Descent(root)) as descent:
        for path, entry in arguments.get("make", {}).items():
            _make(descent, path, entry)
        for path, offset, length in arguments.get("write", []):
            _write(descent, path, offset, contents.read(length))
    with closing(Descent(root)) as descent:
        for path, entry in arguments.get("settle", {}).items():
            _settle(descent, path, entry)
    return None, b""


def _make(descent: Descent, path: str, entry: list[Any]) -> None:
    parent, name = split(path)
    folder = descent.to(parent)
    match entry:
        case ["d", _]:
            _make_folder(name, folder)
        case ["l", target]:
            _remove(name, folder)
            os.symlink(target, name, dir_fd=folder)
        case _:
            _remove(name, folder)
            os.close(os.open(name, _NEW, 0o600, dir_fd=folder))


def _make_folder(name: str, folder: int) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
    except FileExistsError:
        place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        try:
            set_mode(place, 0o700)
        finally:
            os.close(place)


def _remove(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return


def _write(descent: Descent, path: str, offset: int, data: bytes) -> None:
    parent, name = split(path)
    with opened(name, descent.to(parent), os.O_WRONLY) as (file, _):
        for start in range(0, len(data), _BLOCK):
            block = data[start : start + _BLOCK]
            # What is not written is a hole: a file full of them has to fit the disk again.
            if block.count(0) < len(block):
                _write_at(file, offset + start, block)


def _write_at(file: int, offset: int, data: bytes) -> None:
    while data:
        written = os.pwrite(file, data, offset)
        offset, data = offset + written, data[written:]


def _settle(descent: Descent, path: str, entry: list[Any]) -> None:
    parent, name = split(path)
    folder = descent.to(parent)
    match entry:
        case ["f", mode, mtime, size, _]:
            with opened(name, folder, os.O_WRONLY, lift=stat.S_IWUSR) as (file, _):
                os.ftruncate(file, size)
                os.utime(file, ns=(mtime, mtime))
            _set_mode(name, folder, mode)
        case ["d", mode]:
            _set_mode(name, folder, mode)


def _set_mode(name: str, folder: int, mode: int) -> None:
    place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if not stat.S_ISLNK(os.fstat(place).st_mode):
            set_mode(place, mode)
    finally:
        os.close(place)
