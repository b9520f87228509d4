"""The states of a folder that the process which scans it knows.

An entry is a list by kind: file `["f", mode, mtime_ns, size, [digest of each piece]]`, link
`["l", target]`, folder `["d", mode]`. Paths are relative to the folder, which is no entry itself.
"""

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, TypedDict

from .pieces import digest

Entry = list[Any]
Entries = dict[str, Entry]
Changes = dict[str, Entry | None]
"""By path; None for what is gone."""
Stat = list[int]

_KNOWN_STATES = 3


class Delta(TypedDict):
    """What a scan found, as plain JSON: a child process sends it to its parent."""

    changes: Changes
    stats: dict[str, Stat]
    """Of what was read anew."""
    time: int
    notes: list[list[str]]
    """Paths that could not be taken in, and why; the first few."""


@dataclass(frozen=True)
class Index:
    """A state (`id`; None is the empty one), its entries, and what `stat` said of its files."""

    id: str | None = None
    entries: Entries = field(default_factory=dict)
    stats: dict[str, Stat] = field(default_factory=dict)
    time: int = 0
    """When the scan began that the stats are of."""


class Indexes:
    """The last few states that the process which scans knows."""

    def __init__(self) -> None:
        self._known: OrderedDict[str | None, Index] = OrderedDict()

    def adopt(self, id: str, entries: Entries) -> None:
        self._keep(Index(id, entries))

    def find(self, base: str | None) -> Index | None:
        """None for one that is not known; the empty state always is."""
        if base not in self._known:
            return Index() if base is None else None
        self._known.move_to_end(base)
        return self._known[base]

    def advance(self, base: Index, delta: Delta) -> str:
        """Take what a scan from `base` found; returns the identity of that state."""
        found = apply(base, delta)
        self._keep(found)
        return str(found.id)

    def _keep(self, index: Index) -> None:
        self._known[index.id] = index
        self._known.move_to_end(index.id)
        while len(self._known) > _KNOWN_STATES:
            self._known.popitem(last=False)


def identity(base: str | None, changes: Changes) -> str:
    """Names the state that `changes` make of `base`; without any it is that of `base`."""
    if base is not None and not changes:
        return base
    return digest(json.dumps([base, changes], sort_keys=True, separators=(",", ":")).encode())


def fold(entries: Entries, changes: Changes) -> Entries:
    """The entries after the changes."""
    merged: Changes = {**entries, **changes}
    return {path: entry for path, entry in merged.items() if entry is not None}


def without_time(entry: Entry) -> Entry:
    """What was only touched has not changed."""
    return [*entry[:2], *entry[3:]] if entry[0] == "f" else entry


def apply(index: Index, delta: Delta) -> Index:
    changes = delta["changes"]
    entries = fold(index.entries, changes) if changes else index.entries
    stats = {path: each for path, each in index.stats.items() if path in entries}
    return Index(identity(index.id, changes), entries, stats | delta["stats"], delta["time"])
