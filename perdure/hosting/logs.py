"""The log files in the data directory: kept short, and quoted when something fails."""

import os
from pathlib import Path
from typing import BinaryIO

_LARGE = 5_000_000


def open_log(path: Path) -> BinaryIO:
    """Open a log to append to; one that has grown large becomes `NAME.1`."""
    if path.exists() and path.stat().st_size > _LARGE:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab", buffering=0)


def last_lines(path: Path, count: int = 5, *, since: int = 0) -> str:
    """The last lines of a log, from byte `since` on."""
    with path.open("rb") as log:
        end = log.seek(0, os.SEEK_END)
        log.seek(max(since, end - 20_000))
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-count:])
