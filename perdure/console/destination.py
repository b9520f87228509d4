"""A folder of the user's that recorded files are written into, and what stands in the way."""

import os
import stat
from contextlib import closing, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, Self

from perdure.errors import PerdureError, WorkspaceError
from perdure.sandbox.inside.descent import Descent, opened, split
from perdure.sandbox.inside.index import Entries, Entry
from perdure.sandbox.inside.pieces import digests
from perdure.sandbox.inside.restore import restore

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
            WorkspaceError: something that is no folder has its name.
            CannotPull: the entries can in no way be written there.
        """
        for path in entries:
            _check(path)
        target = cls(_made(folder))
        with closing(Descent(target.root)) as descent:
            for path in sorted(entries):
                target._meet(descent, path, entries[path])
        return target

    def clear(self) -> None:
        """Remove files and links in the place of folders, and empty folders in that of files."""
        with closing(Descent(self.root)) as descent:
            for path in self._in_the_way:
                folder, name = split(path)
                remove = os.unlink if self.wanted[path][0] == "d" else os.rmdir
                remove(name, dir_fd=descent.to(folder))

    def _meet(self, descent: Descent, path: str, entry: Entry) -> None:
        try:
            kind = _kind(descent, path)
        except (FileNotFoundError, NotADirectoryError):
            kind = None  # with its parent; or the parent is a conflict by itself
        if kind == "d" and entry[0] != "d" and not _is_empty(descent, path):
            raise CannotPull(
                f"{path!r} is a folder in {str(self.root)!r}, and a file of the run has its name."
                " Move it away, or give another folder."
            )
        if kind == entry[0] and _is_same(descent, path, entry):
            return
        self.wanted[path] = _permitted(entry)
        if kind is not None or _has_repository(descent, path):
            self.conflicts.append(path)
        if kind is not None and "d" in (kind, entry[0]):
            self._in_the_way.append(path)


class Drafts:
    """Files and links in the making, each beside the place that it gets when it is whole."""

    def __init__(self, root: Path, wanted: Entries) -> None:
        self._root = root
        self._places: dict[str, str] = {}
        self._folders = {path: entry for path, entry in wanted.items() if entry[0] == "d"}
        """Those that may not have their own permissions yet."""
        self.entries: Entries = {}
        """What is wanted, under the names that are to be written."""
        unguessed = token_hex(8)  # else the agent could have made a file of that name
        for number, (path, entry) in enumerate(wanted.items()):
            draft = path
            if entry[0] != "d":
                draft = path[: path.rfind("/") + 1] + f".perdure-{unguessed}-{number}"
                self._places[draft] = path
            self.entries[draft] = entry

    def write(self, arguments: dict[str, Any], data: bytes) -> None:
        """Carry out one `restore`, and give what is whole after it its name."""
        make, settle = arguments["make"], arguments["settle"]
        files = {path: entry for path, entry in settle.items() if entry[0] == "f"}
        restore(self._root, {**arguments, "settle": files}, data)
        self._place([*(path for path, entry in make.items() if entry[0] == "l"), *files])
        # Last, since one that is read-only takes no more names.
        folders = {path: entry for path, entry in settle.items() if entry[0] == "d"}
        self._settle(folders)

    def close(self) -> None:
        """Remove what has not become whole; folders stay, with their own permissions."""
        with closing(Descent(self._root)) as descent:
            for draft in self._places:
                folder, name = split(draft)
                with suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(name, dir_fd=descent.to(folder))
        for path in sorted(self._folders, reverse=True):
            with suppress(FileNotFoundError, NotADirectoryError):
                self._settle({path: self._folders[path]})

    def _settle(self, folders: Entries) -> None:
        restore(self._root, {"settle": folders}, b"")
        for path in folders:
            del self._folders[path]

    def _place(self, drafts: list[str]) -> None:
        with closing(Descent(self._root)) as descent:
            for draft in drafts:
                folder, name = split(draft)
                place = descent.to(folder)
                _, final = split(self._places[draft])
                os.rename(name, final, src_dir_fd=place, dst_dir_fd=place)
                del self._places[draft]


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
    try:
        root = folder.expanduser().resolve()
        root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise WorkspaceError(f"DIR '{folder}' is not a directory. Name another one.") from None
    except RuntimeError as error:  # links in a circle, or the home of an unknown user
        raise WorkspaceError(f"DIR '{folder}' cannot be used: {error}. Name another one.") from None
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


def _is_empty(descent: Descent, path: str) -> bool:
    parent, name = split(path)
    flags = os.O_RDONLY | os.O_DIRECTORY
    with opened(name, descent.to(parent), flags) as (folder, _), os.scandir(folder) as listing:
        return next(listing, None) is None


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
