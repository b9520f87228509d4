"""A folder of the user's that recorded files are to be written into, and what stands in the way."""

import os
import stat
from contextlib import closing
from pathlib import Path
from typing import Self

from perdure.errors import PerdureError
from perdure.sandbox.inside.descent import Descent, opened, split
from perdure.sandbox.inside.index import Entries, Entry
from perdure.sandbox.inside.pieces import digests

_KINDS = {stat.S_IFREG: "f", stat.S_IFLNK: "l", stat.S_IFDIR: "d"}
_PERMISSIONS = 0o777
"""No more: an agent's set-user-ID bit is nothing to have on a user's own file."""


class CannotPull(PerdureError):
    """The files cannot be written there."""


class Destination:
    """What the entries of a state would meet in the folder `root`; no link in it is followed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.wanted: Entries = {}
        """Those that are not there yet, with permissions only as their modes."""
        self.conflicts: list[str] = []
        """Paths where something else is, or that are in a repository of the user's own."""
        self._in_the_way: list[str] = []

    @classmethod
    def open(cls, folder: Path, entries: Entries) -> Self:
        """Make the folder if there is none, and compare what is in it.

        Raises:
            CannotPull: it is none, or the entries can in no way be written there.
        """
        for path in entries:
            _check(path)
        target = cls(_made(folder))
        with closing(Descent(target.root)) as descent:
            for path in sorted(entries):
                target._meet(descent, path, entries[path])
        return target

    def clear(self) -> None:
        """Remove the files and links that are in the place of folders."""
        with closing(Descent(self.root)) as descent:
            for path in self._in_the_way:
                folder, name = split(path)
                os.unlink(name, dir_fd=descent.to(folder))

    def _meet(self, descent: Descent, path: str, entry: Entry) -> None:
        try:
            kind = _kind(descent, path)
        except (FileNotFoundError, NotADirectoryError):
            kind = None  # with its parent; or the parent is a conflict by itself
        if kind == "d" and entry[0] != "d":
            raise CannotPull(
                f"{path!r} is a folder in {str(self.root)!r}, and a file of the run has its name."
                " Move it away, or give another folder."
            )
        if kind == entry[0] and _is_same(descent, path, entry):
            return
        self.wanted[path] = _permitted(entry)
        if kind is not None or _has_repository(descent, path):
            self.conflicts.append(path)
        if kind is not None and entry[0] == "d":
            self._in_the_way.append(path)


def repository_of(path: str) -> str | None:
    """The `.git` that the path is in: git runs commands that its hooks and settings name."""
    folders = path.split("/")[:-1]
    depth = next((n for n, name in enumerate(folders, 1) if name.lower() == ".git"), None)
    return "/".join(folders[:depth]) if depth else None


def _has_repository(descent: Descent, path: str) -> bool:
    repository = repository_of(path)
    try:
        return repository is not None and _kind(descent, repository) == "d"
    except (FileNotFoundError, NotADirectoryError):
        return False


def _made(folder: Path) -> Path:
    root = folder.expanduser().resolve()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotPull(
            f"The folder {str(folder)!r} cannot be made: {error.strerror}. Give another one."
        ) from None
    return root


def _check(path: str) -> None:
    try:
        split(path)
    except ValueError:
        raise CannotPull(f"The run has a file {path!r}, which leads out of any folder.") from None


def _kind(descent: Descent, path: str) -> str:
    folder, name = split(path)
    status = os.stat(name, dir_fd=descent.to(folder), follow_symlinks=False)
    return _KINDS.get(stat.S_IFMT(status.st_mode), "other")


def _is_same(descent: Descent, path: str, entry: Entry) -> bool:
    """Whether it has this content; its mode and time are the user's business."""
    folder, name = split(path)
    match entry:
        case ["f", _, _, size, expected]:
            with opened(name, descent.to(folder), os.O_RDONLY) as (file, _):
                status = os.fstat(file)
                return bool(status.st_size == size and digests(file, size)[0] == expected)
        case ["l", target]:
            return bool(os.readlink(name, dir_fd=descent.to(folder)) == target)
        case _:
            return True


def _permitted(entry: Entry) -> Entry:
    return entry if entry[0] == "l" else [entry[0], entry[1] & _PERMISSIONS, *entry[2:]]
