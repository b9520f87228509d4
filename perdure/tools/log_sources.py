"""Where logs are, beside the workspace: files of this machine, and containers on it."""

import os
import re
import stat
from collections.abc import Iterable, Sequence
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path

from perdure.errors import ToolError

LARGEST = 1_000_000
"""Bytes of a log's end that are looked at."""
_SECONDS = 10


def end_of_file(path: str, open_to_us: Sequence[Path]) -> str:
    """The end of a file at or under one of the paths that an operator has opened.

    Raises:
        ToolError: it is elsewhere, or cannot be read.
    """
    if "\0" in path:
        raise ToolError(f"Path {path!r} contains a character that no file name can hold.")
    place = Path(os.path.realpath(path))
    bases = [Path(os.path.realpath(each)) for each in open_to_us]
    bases = [base for base in bases if place.is_relative_to(base)]
    if not bases:
        raise ToolError(
            f"{path!r} may not be read. Beside the workspace an operator opens logs in"
            f" PERDURE_LOG_PATHS, which holds: {', '.join(map(str, open_to_us)) or 'nothing'}."
        )
    try:
        return _end(_opened(bases[0], place), path)
    except OSError as error:
        raise ToolError(f"{path!r} cannot be read: {error.strerror}.") from None


def _opened(base: Path, place: Path) -> int:
    """Open step by step and through no link: one may have been put there since we looked."""
    # Without waiting for a pipe's writer.
    how = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    if place == base:
        return os.open(place, how)
    *folders, name = place.relative_to(base).parts
    folder = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for each in folders:
            inner = os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name, how, dir_fd=folder)
    finally:
        os.close(folder)


def _end(descriptor: int, path: str) -> str:
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ToolError(f"{path!r} is no regular file, and no others are read as logs.")
        start = max(0, status.st_size - LARGEST)
        text = os.pread(descriptor, LARGEST, start).decode(errors="backslashreplace")
    finally:
        os.close(descriptor)
    return text.partition("\n")[2] or text if start else text


def end_of_container(name: str, globs: Sequence[str], lines: int) -> str:
    """The last lines that a container printed whose name fits one of the globs.

    Raises:
        ToolError: its name does not fit, or there is none of that name.
    """
    # The name becomes a part of the address that the engine is asked.
    is_name = re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", name)
    if not is_name or not any(fnmatchcase(name, glob) for glob in globs):
        raise ToolError(
            f"The container {name!r} may not be read. An operator opens containers by name in"
            f" PERDURE_LOG_CONTAINERS, which holds: {', '.join(globs) or 'nothing'}."
        )
    from docker import from_env  # noqa: PLC0415 - slow to load, and of use to few agents
    from docker.errors import DockerException  # noqa: PLC0415

    try:
        with closing(from_env(timeout=_SECONDS)) as client:
            container = client.containers.get(name)
            if container.name != name:  # it was taken for the beginning of an id
                raise ToolError(f"There is no container {name!r}.")
            printed = container.logs(stream=True, follow=False, tail=lines)
            return _bounded(printed).decode(errors="backslashreplace")
    except (DockerException, OSError) as error:
        raise ToolError(f"The log of container {name!r} cannot be read: {error}.") from None


def _bounded(pieces: Iterable[bytes]) -> bytes:
    kept = bytearray()
    for piece in pieces:
        kept += piece
        del kept[:-LARGEST]
    return bytes(kept)
