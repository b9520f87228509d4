"""The contents of files, in pieces of a fixed size that are named by their digests."""

import errno
import os
import stat
from contextlib import closing
from functools import cache
from hashlib import blake2b
from pathlib import Path

from .descent import Descent, opened, split

PIECE = 4 * 2**20


def digest(data: bytes) -> str:
    return blake2b(data, digest_size=20).hexdigest()


@cache
def hole() -> str:
    """The digest of a whole piece in which nothing was ever written."""
    return digest(bytes(PIECE))


def digests(file: int, size: int) -> tuple[list[str], int]:
    """Of each piece up to `size`, and how many bytes that were."""
    found, total = [], 0
    for offset in range(0, size, PIECE):
        length = min(PIECE, size - offset)
        if length == PIECE and _is_hole(file, offset):
            found.append(hole())
            total += length
        elif piece := _read_at(file, offset, length):
            found.append(digest(piece))
            total += len(piece)
        if total < offset + length:
            break
    return found, total


def _is_hole(file: int, offset: int) -> bool:
    try:
        return os.lseek(file, offset, os.SEEK_DATA) >= offset + PIECE
    except OSError as error:
        return error.errno == errno.ENXIO  # nothing but a hole up to the end


def pieces(root: Path, wanted: list[tuple[str, int, int]]) -> bytes:
    """The bytes at these (path, offset, length); zeros where there are none any more.

    Whoever asked compares digests, and learns by that of files that have changed.
    """
    with closing(Descent(root)) as descent:
        return b"".join(
            _read(descent, path, offset, length).ljust(length, b"\0")
            for path, offset, length in wanted
        )


def _read(descent: Descent, path: str, offset: int, length: int) -> bytes:
    folder, name = split(path)
    try:
        with opened(name, descent.to(folder), os.O_RDONLY, lift=stat.S_IRUSR) as (file, _):
            return _read_at(file, offset, length)
    except OSError:
        return b""


def _read_at(file: int, offset: int, length: int) -> bytes:
    parts = []
    while length and (part := os.pread(file, length, offset)):
        parts.append(part)
        offset, length = offset + len(part), length - len(part)
    return b"".join(parts)
