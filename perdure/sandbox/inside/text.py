"""The text in a workspace's files: read in bounded memory, replaced in one step."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from io import TextIOWrapper
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO, TextIO

from .refusal import Refused

LARGEST = 16 * 1024 * 1024
"""Bytes of a file that is taken into memory whole."""
LONGEST = 1024 * 1024 * 1024
"""Bytes of a file that is read through; a sparse one may be endless."""
LONGEST_LINE = 2000
"""Characters of one line that are given; the rest is counted."""
_PIECE = 64 * 1024
_SNIFFED = 8192


@contextmanager
def opened(place: Path, path: str) -> Iterator[TextIO]:
    r"""The text of the regular file at `place`; bytes that are not UTF-8 show as `\xe9`.

    Raises:
        Refused: `path`, as the model calls it, is something else than a text file.
    """
    with opened_bytes(place, path) as binary:
        size = os.fstat(binary.fileno()).st_size
        if size > LONGEST:
            raise Refused(
                f"{path!r} with {size:,} bytes is too large to read; the limit is {LONGEST:,} "
                "bytes. Look at parts of it with a command such as head, tail or grep."
            )
        if b"\0" in _peek(binary):
            raise Refused(f"{path!r} is a binary file and holds no text to show.")
        # Line ends stay as they are, so that what is read can be found again by edit_file.
        with TextIOWrapper(binary, "utf-8", errors="backslashreplace", newline="\n") as text:
            yield text


def opened_bytes(place: Path, path: str) -> BinaryIO:
    """The regular file at `place`, to be read."""
    check_regular(place, path)
    # Not through a link and without waiting for one who writes, should it change meanwhile.
    descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    return os.fdopen(descriptor, "rb")


def _peek(binary: BinaryIO) -> bytes:
    start = binary.read(_SNIFFED)
    binary.seek(0)
    return start


def check_regular(place: Path, path: str) -> None:
    """Refuse what must not be opened: a pipe would wait for ever, a device might act."""
    mode = place.lstat().st_mode
    if stat.S_ISDIR(mode):
        raise Refused(f"{path!r} is a folder; list_files shows what it holds.")
    if not stat.S_ISREG(mode):
        raise Refused(f"{path!r} is not a regular file, and tools open no others.")


def cut_lines(text: TextIO) -> Iterator[str]:
    """The lines of `text`, each cut at `LONGEST_LINE` however long it is."""
    while line := text.readline(LONGEST_LINE):
        rest = 0 if line.endswith("\n") else _skip_line(text)
        yield f"{line}… [{rest} more characters in this line]\n" if rest else line


def _skip_line(text: TextIO) -> int:
    """Leave the rest of a line; its length without the line's end."""
    size = 0
    while piece := text.readline(_PIECE):
        size += len(piece.rstrip("\n"))
        if piece.endswith("\n"):
            break
    return size


def pieces(text: TextIO) -> Iterator[tuple[int, str]]:
    """The lines of `text` with their numbers, a very long one in several pieces."""
    number = 1
    while piece := text.readline(_PIECE):
        yield number, piece.rstrip("\n")
        number += piece.endswith("\n")


def whole(place: Path, path: str) -> bytes:
    """All of a file of which a part is to be changed."""
    with opened_bytes(place, path) as binary:
        data = binary.read(LARGEST + 1)
        check_size(max(len(data), os.fstat(binary.fileno()).st_size), path)
    return data


def check_size(size: int, path: str) -> None:
    if size > LARGEST:
        raise Refused(
            f"{path!r} with {size:,} bytes is too large to edit; the limit is {LARGEST:,} bytes."
        )


def decoded(data: bytes, path: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refused(f"{path!r} is not UTF-8 text, and an edit would damage it.") from None


def replace(place: Path, data: bytes, *, key: str, mode: int | None = None) -> None:
    """Write `place` in one step: a crash leaves the old content or the new, and nothing between.

    `key` names the call, so that its next attempt finds and removes a draft left by a crash.
    Without a `mode` the file keeps the one that it has.
    """
    prefix = f".{blake2b(key.encode(), digest_size=6).hexdigest()}-"
    for left in place.parent.glob(f"{prefix}*.draft"):
        left.unlink(missing_ok=True)
    draft = place.with_name(f"{prefix}{token_hex(4)}.draft")
    try:
        _write(draft, data, mode=_mode(place) if mode is None else mode)
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(place.parent)


def _mode(place: Path) -> int | None:
    try:
        return stat.S_IMODE(place.lstat().st_mode)
    except FileNotFoundError:
        return None


def _write(draft: Path, data: bytes, *, mode: int | None) -> None:
    with draft.open("xb") as file:
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
