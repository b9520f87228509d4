"""What has changed in a folder since a state that is known, found by stat and by content.

Fifos, sockets and devices are left out.
"""

import os
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from .descent import opened
from .index import Changes, Delta, Entry, Index, Indexes, Stat, apply, identity, without_time
from .pieces import PIECE, digests, pieces

__all__ = ["Delta", "Index", "Indexes", "apply", "identity", "pieces", "scan"]

_MOST_IN_FILE = 2**30
MOST_BYTES = 8 * 2**30
"""Apparent sizes: a hole of a terabyte costs its maker nothing, and would cost us hours."""
_MOST_WEIGHT = 40_000_000
"""Characters of all entries and stats as JSON: one frame has to hold them."""
_ENTRY_WEIGHT = 230
_DIGEST_WEIGHT = 45
_MOST_IN_FOLDER = 1_000_000
_DEEPEST = 200
_MOST_NOTES = 20
_CLOCK_TICK = 100_000_000
"""Nanoseconds within which two changes of a file may bear the same time; ample."""
_UNSETTLED: Stat = []
"""Equal to no file's: it is read again the next time."""


def scan(
    root: Path,
    index: Index,
    *,
    private: Collection[tuple[int, int]] = (),
    lift: bool = True,
    most: int = MOST_BYTES,
) -> Delta:
    """What differs from `index`.

    `private`: device and inode of folders to leave out. `lift`: whether what its owner may not
    read is made readable for the moment. `most`: bytes of all files together.
    """
    found = _Scan(index, private, lift=lift, most=most)
    with _opened_folder(os.fspath(root), None, lift=lift) as folder:
        found.look_into(folder, "", 0)
    return found.delta()


class _Unsettled(Exception):
    """Something else has taken the file's place since its folder was read."""


class _Scan:
    """One walk through the folder."""

    def __init__(
        self, index: Index, private: Collection[tuple[int, int]], *, lift: bool, most: int
    ) -> None:
        self._index = index
        self._private = private
        self._lift = lift
        self._most = most
        self._time = time.time_ns()
        self._changes: Changes = {}
        self._stats: dict[str, Stat] = {}
        self._notes: list[list[str]] = []
        self._seen: set[str] = set()
        self._unread: list[str] = []
        """Folders of which all is taken to be as before."""
        self._weight = 0
        self._bytes = 0

    def delta(self) -> Delta:
        unread = tuple(f"{path}/" for path in self._unread)
        for path in self._index.entries.keys() - self._seen:
            if not path.startswith(unread):
                self._changes[path] = None
        return Delta(changes=self._changes, stats=self._stats, time=self._time, notes=self._notes)

    def look_into(self, folder: int, prefix: str, depth: int) -> None:
        with os.scandir(folder) as listing:
            # In order, so that what goes beyond a bound is the same each time.
            found = sorted(islice(listing, _MOST_IN_FOLDER), key=lambda each: each.name)
        for each in found:
            path = prefix + each.name
            try:
                self._take(each.name, path, each.stat(follow_symlinks=False), folder, depth)
            except FileNotFoundError:
                continue  # it was there when its folder was read
            except (OSError, _Unsettled) as error:
                self._leave_as_before(path, error)

    def _take(self, name: str, path: str, status: os.stat_result, folder: int, depth: int) -> None:
        if not self._fits(path, status):
            return
        if stat.S_ISREG(status.st_mode):
            self._take_file(name, path, status, folder)
        elif stat.S_ISLNK(status.st_mode):
            self._record(path, ["l", os.readlink(name, dir_fd=folder)])
        elif stat.S_ISDIR(status.st_mode):
            self._take_folder(name, path, status, folder, depth)

    def _fits(self, path: str, status: os.stat_result) -> bool:
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        weight = _ENTRY_WEIGHT + 2 * _length(path) + _DIGEST_WEIGHT * (size // PIECE)
        if stat.S_ISLNK(status.st_mode):
            weight += 6 * status.st_size
        if size > _MOST_IN_FILE:
            self._note(path, f"its {size:,} bytes are more than one file may have")
        elif self._bytes + size > self._most:
            self._note(path, f"all files together are more than {self._most:,} bytes")
        elif self._weight + weight > _MOST_WEIGHT:
            self._note(path, "there are too many files")
        else:
            self._bytes += size
            self._weight += weight
            return True
        return False

    def _take_file(self, name: str, path: str, status: os.stat_result, folder: int) -> None:
        if self._is_settled(path, status):
            self._seen.add(path)
            return
        lift = stat.S_IRUSR if self._lift else 0
        with opened(name, folder, os.O_RDONLY, lift=lift) as (file, is_lifted):
            now = os.fstat(file)
            if not stat.S_ISREG(now.st_mode) or now.st_size > _MOST_IN_FILE:
                raise _Unsettled("it was changed meanwhile")
            found, size = digests(file, now.st_size)
        seen = status if is_lifted else now
        # Lifting its mode has changed its ctime.
        self._stats[path] = _UNSETTLED if is_lifted else _stat(now)
        self._record(path, ["f", stat.S_IMODE(seen.st_mode), seen.st_mtime_ns, size, found])

    def _is_settled(self, path: str, status: os.stat_result) -> bool:
        """Whether it is as it was read; not if it may have been changed in that very moment."""
        is_later = status.st_ctime_ns >= self._index.time - _CLOCK_TICK
        return not is_later and self._index.stats.get(path) == _stat(status)

    def _take_folder(
        self, name: str, path: str, status: os.stat_result, folder: int, depth: int
    ) -> None:
        if (status.st_dev, status.st_ino) in self._private:
            return
        entry = ["d", stat.S_IMODE(status.st_mode)]
        if depth == _DEEPEST:
            self._record(path, entry)
            self._note(path, "what is in it is too deep")
            return
        try:
            with _opened_folder(name, folder, lift=self._lift) as deeper:
                self._record(path, entry)
                self.look_into(deeper, f"{path}/", depth + 1)
        except PermissionError as error:
            self._record(path, entry)
            self._leave_as_before(path, error)

    def _record(self, path: str, entry: Entry) -> None:
        self._seen.add(path)
        before = self._index.entries.get(path)
        if before is None or without_time(before) != without_time(entry):
            self._changes[path] = entry

    def _leave_as_before(self, path: str, error: Exception) -> None:
        """And all that was below it."""
        self._note(path, getattr(error, "strerror", None) or str(error))
        self._seen.add(path)
        self._unread.append(path)

    def _note(self, path: str, reason: str) -> None:
        if len(self._notes) < _MOST_NOTES:
            self._notes.append([path, reason])


@contextmanager
def _opened_folder(name: str, folder: int | None, *, lift: bool) -> Iterator[int]:
    bits = stat.S_IRUSR | stat.S_IXUSR if lift else 0
    with opened(name, folder, os.O_RDONLY | os.O_DIRECTORY, lift=bits) as (descriptor, _):
        yield descriptor


def _stat(status: os.stat_result) -> Stat:
    return [
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_ino,
        status.st_mode,
    ]


def _length(path: str) -> int:
    """At most so many characters as JSON in ASCII."""
    return len(path) if path.isascii() else 6 * len(path)
