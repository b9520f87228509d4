"""Files: their text, their end or their bytes are read, and they are written."""

import os
from collections.abc import Iterable, Iterator
from io import StringIO
from itertools import islice
from pathlib import Path

from . import place as places
from .refusal import explained
from .text import check_regular, cut_lines, opened, opened_bytes, replace

PAGE = 24_000
"""Characters of a file that one call shows, whatever number of lines it asks for."""
_TAIL = 1024 * 1024
"""Bytes at the end of a file among which its last lines are looked for."""


def read_file(root: Path, *, path: str, offset: int, limit: int) -> str:
    """Up to `limit` lines of the text of `path` from the line `offset` on, and what is left."""
    place = places.resolve(root, path)
    with explained("read", path), opened(place, path) as text:
        rows = cut_lines(text)
        before = sum(1 for _ in islice(rows, offset - 1))
        shown = list(_page(islice(rows, limit)))
        more = sum(1 for _ in rows)
    if not shown:
        return f"[{path} has {before} lines.]" if before else f"[{path} is empty.]"
    rest = f"[{more} more lines; read on with offset={before + len(shown) + 1}.]" if more else ""
    return "".join(shown) + rest


def _page(rows: Iterable[str]) -> Iterator[str]:
    """Rows until a page is full; the first in any case."""
    size = 0
    for row in rows:
        yield row
        size += len(row)
        if size >= PAGE:
            return


def tail_file(root: Path, *, path: str, lines: int) -> str:
    """The text of the last `lines` lines of `path`."""
    place = places.resolve(root, path)
    with explained("read", path), opened_bytes(place, path) as binary:
        start = max(0, os.fstat(binary.fileno()).st_size - _TAIL)
        binary.seek(start)
        end = binary.read(_TAIL).decode(errors="backslashreplace")
    rows = list(cut_lines(StringIO(end, newline="\n")))
    if start and len(rows) > 1:
        del rows[0]  # only the end of a line
    return "".join(rows[-lines:])


def read_bytes(root: Path, *, path: str, limit: int) -> bytes:
    """The first `limit` bytes of `path`."""
    place = places.resolve(root, path)
    with explained("read", path), opened_bytes(place, path) as binary:
        return binary.read(limit)


def write_file(root: Path, *, path: str, data: bytes, key: str, mode: int | None = None) -> None:
    """Write `data` to `path`, whole or not at all; see `text.replace` for the rest."""
    with explained("written", path), places.alone(root):
        save(places.resolve(root, path), path, data, key=key, mode=mode)


def save(place: Path, path: str, data: bytes, *, key: str, mode: int | None = None) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        check_regular(place, path)
    replace(place, data, key=key, mode=mode)
