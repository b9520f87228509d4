"""How much of the disk a workspace takes, also in files that were deleted but are still open."""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LEAST = 4096
"""Bytes that every file counts for, an empty one too: it takes an inode."""

_DEEPEST = 300
"""Folders within folders that are followed; each is held open meanwhile."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Usage:
    """What is below a folder, added up until it is more than `most`."""

    def __init__(self, most: int) -> None:
        self.size = 0
        self.whole = True
        """Whether everything could be seen."""
        self._most = most
        self._counted: set[int] = set()
        """Inodes with several names."""

    def add_below(self, root: str) -> None:
        """Count what is below `root`, following no link."""
        folder = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
        try:
            self._add_folder(folder, 0)
        finally:
            os.close(folder)

    def add_deleted(self, root: str, pids: Iterable[int]) -> None:
        """Count what these processes keep open of `root`'s file system although it was deleted."""
        device = Path(root).stat().st_dev
        for pid in pids:
            with suppress(OSError):  # ended meanwhile
                for place in Path(f"/proc/{pid}/fd").iterdir():
                    self._add_open(place, device)

    def _add_open(self, place: Path, device: int) -> None:
        with suppress(OSError):  # closed meanwhile
            found = place.stat()
            if found.st_dev == device and not found.st_nlink and found.st_ino not in self._counted:
                self._counted.add(found.st_ino)
                self._add(found)

    def _add_folder(self, folder: int, depth: int) -> None:
        with os.scandir(folder) as entries:
            for entry in entries:
                if self.size > self._most:
                    return
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                self._add_entry(folder, entry.name, found, depth)

    def _add_entry(self, folder: int, name: str, found: os.stat_result, depth: int) -> None:
        if stat.S_ISDIR(found.st_mode):
            self._enter(folder, name, depth + 1)
        elif found.st_nlink > 1:
            if found.st_ino in self._counted:
                return
            self._counted.add(found.st_ino)
        self._add(found)

    def _enter(self, folder: int, name: str, depth: int) -> None:
        if depth > _DEEPEST:
            self.whole = False
            return
        try:
            deeper = os.open(name, _FOLDER, dir_fd=folder)
        except FileNotFoundError:
            return
        except OSError:  # forbidden by its mode, or no longer a folder
            self.whole = False
            return
        try:
            self._add_folder(deeper, depth)
        finally:
            os.close(deeper)

    def _add(self, found: os.stat_result) -> None:
        self.size += max(found.st_blocks * 512, LEAST)
