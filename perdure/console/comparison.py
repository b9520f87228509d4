"""The difference of two states of a file, in the form that git shows it in."""

import difflib
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from perdure.console.display import clean
from perdure.plain_text import storable
from perdure.sandbox.inside.index import Entry

LONGEST = 1_000_000
"""Bytes of a file that is compared line by line."""
_MOST_PAIRS = 10_000_000
_TYPES = {"f": stat.S_IFREG, "l": stat.S_IFLNK, "d": stat.S_IFDIR}


@dataclass(frozen=True, slots=True)
class Side:
    """One state of a path; the content of a link is its target."""

    entry: Entry
    content: bytes | None
    """None where it is longer than `LONGEST`."""

    @property
    def mode(self) -> str:
        """As git writes it: kind and permissions."""
        kind, *rest = self.entry
        permissions = 0 if kind == "l" else rest[0]
        return f"{_TYPES[kind] | permissions:06o}"

    @property
    def lines(self) -> list[str] | None:
        """With their line breaks; None for what is no text."""
        if self.content is None or b"\0" in self.content:
            return None
        try:
            text = self.content.decode()
        except UnicodeDecodeError:
            return None
        # Not `splitlines`, which takes many other characters for the end of a line.
        return [line for line in text.replace("\n", "\n\0").split("\0") if line]


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of one path; None for a side where it was not there."""

    path: str
    before: Side | None
    after: Side | None

    @property
    def change(self) -> str:
        if self.before is None:
            return "added"
        return "deleted" if self.after is None else "changed"

    def lines(self) -> Iterator[str]:
        """As `git diff` prints it: without line breaks, and not yet safe for a terminal."""
        name = shown(self.path)
        yield f"diff --git a/{name} b/{name}"
        yield from self._modes()
        old = f"a/{name}" if self.before else "/dev/null"
        new = f"b/{name}" if self.after else "/dev/null"
        yield from self._contents(old, new)

    def _modes(self) -> Iterator[str]:
        old, new = (side and side.mode for side in (self.before, self.after))
        if old is None:
            yield f"new file mode {new}"
        elif new is None:
            yield f"deleted file mode {old}"
        elif old != new:
            yield f"old mode {old}"
            yield f"new mode {new}"

    def _contents(self, old: str, new: str) -> Iterator[str]:
        before, after = ([] if side is None else side.lines for side in (self.before, self.after))
        if before is None or after is None:
            if self._is_same():
                return
            yield f"Binary files {old} and {new} differ"
        elif len(before) * len(after) > _MOST_PAIRS:
            yield f"Files {old} and {new} differ, and are too long to be compared"
        else:
            yield from _unified(before, after, old, new)

    def _is_same(self) -> bool:
        """Whether no content has changed, only the mode."""
        if self.before is None or self.after is None:
            return False
        return bool(self.before.entry[3:] == self.after.entry[3:])


def shown(path: str) -> str:
    """A path on one line, with nothing in it that a terminal would obey."""
    return clean(storable(path)).replace("\n", "\\n").replace("\t", "\\t")


def _unified(before: list[str], after: list[str], old: str, new: str) -> Iterator[str]:
    compared = difflib.unified_diff(before, after, old, new, lineterm="")
    for number, line in enumerate(compared):
        yield line.removesuffix("\n")
        if number > 1 and line[0] != "@" and not line.endswith("\n"):
            yield "\\ No newline at end of file"
