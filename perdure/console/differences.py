"""What differs between two recorded states of a run's files, path by path."""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TypeGuard

from perdure.console.comparison import LONGEST, Difference, Side
from perdure.sandbox.files.parts import batches
from perdure.sandbox.inside.index import Entries, Entry, without_time
from perdure.store.files import Files

_Pair = tuple[str, Entry | None, Entry | None]


async def differences(
    recorded: Files, before: Entries, after: Entries
) -> AsyncIterator[Difference]:
    """By path; the contents of a few at a time."""
    for batch in batches(_pairs(before, after), _length):
        entries = [entry for _, *sides in batch for entry in sides if _is_short(entry)]
        contents = await recorded.contents([each for entry in entries for each in entry[4]])
        for path, old, new in batch:
            yield Difference(path, _side(old, contents), _side(new, contents))


def _pairs(before: Entries, after: Entries) -> Iterator[_Pair]:
    changed = [path for path in before.keys() | after.keys() if _differ(before, after, path)]
    parents = {path[:end] for path in changed for end in _ends(path)}
    for path in sorted(changed):
        old, new = before.get(path), after.get(path)
        if old and new and old[0] != new[0]:
            yield path, old, None
            yield path, None, new
        # A folder that came or went with what is in it needs no mention.
        elif path not in parents or (old and new):
            yield path, old, new


def _differ(before: Entries, after: Entries, path: str) -> bool:
    old, new = before.get(path), after.get(path)
    return old is None or new is None or without_time(old) != without_time(new)


def _ends(path: str) -> Iterator[int]:
    return (end for end, character in enumerate(path) if character == "/")


def _is_short(entry: Entry | None) -> TypeGuard[Entry]:
    return entry is not None and entry[0] == "f" and entry[3] <= LONGEST


def _length(pair: _Pair) -> int:
    return sum(entry[3] for entry in pair[1:] if _is_short(entry))


def _side(entry: Entry | None, contents: Mapping[str, bytes]) -> Side | None:
    match entry:
        case None:
            return None
        case ["l", target]:
            return Side(entry, os.fsencode(target))
        case ["f", _, _, _, digests]:
            content = b"".join(contents[each] for each in digests) if _is_short(entry) else None
            return Side(entry, content)
        case _:
            return Side(entry, b"")
