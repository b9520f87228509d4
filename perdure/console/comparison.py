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
_GIT_MODES = {stat.S_IXUSR: "100755", 0: "100644"}
_NO_FOLDERS = "no part of the patch: git knows no folders"
_NO_PERMISSIONS = "no part of the patch: of permissions git knows only its owner's x"


@dataclass(frozen=True, slots=True)
class Side:
    """One state of a path; the content of a link is its target."""

    entry: Entry
    content: bytes | None
    """None where it is longer than `LONGEST`."""

    @property
    def mode(self) -> str:
        """As git writes that of a file or a link, which is all that it knows."""
        return "120000" if self.entry[0] == "l" else _GIT_MODES[self.entry[1] & stat.S_IXUSR]

    @property
    def permissions(self) -> str:
        return "" if self.entry[0] == "l" else f"{self.entry[1]:04o}"

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
        """As `git diff` prints it: without line breaks, and not yet safe for a terminal.

        What is no part of a patch is in lines that `git apply` passes over.
        """
        if self._is_of_folder:
            yield f"# {self._permissions('folder')} ({_NO_FOLDERS})"
            return
        if self._is_unknown_to_git:
            yield f"# {self._permissions('file')} ({_NO_PERMISSIONS})"
            return
        name = shown(self.path)
        yield f"diff --git a/{name} b/{name}"
        yield from self._modes()
        old = f"a/{name}" if self.before else "/dev/null"
        new = f"b/{name}" if self.after else "/dev/null"
        yield from self._contents(old, new)

    @property
    def _is_of_folder(self) -> bool:
        return any(side and side.entry[0] == "d" for side in (self.before, self.after))

    @property
    def _is_unknown_to_git(self) -> bool:
        old, new = self.before, self.after
        return old is not None and new is not None and old.mode == new.mode and self._is_same()

    def _permissions(self, noun: str) -> str:
        old, new = (side and side.permissions for side in (self.before, self.after))
        name = shown(self.path)
        if old and new:
            return f"{noun} {name}: permissions {old}, now {new}"
        return f"new {noun} {name}" if new else f"deleted {noun} {name}"

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
            yield from _no_patch(old, new, "they are too long to be compared")
        else:
            lines = list(_unified(before, after, old, new))
            if shown(self.path) != self.path or any(line != visible(line) for line in lines):
                yield from _no_patch(old, new, r"control characters are shown as \xNN")
            yield from lines

    def _is_same(self) -> bool:
        """Whether no content has changed, only the mode."""
        if self.before is None or self.after is None:
            return False
        if self.before.entry[0] == "l":
            return self.before.entry == self.after.entry
        return bool(self.before.entry[3:] == self.after.entry[3:])


def shown(path: str) -> str:
    """A path on one line, with nothing in it that a terminal would obey."""
    return clean(storable(path)).replace("\n", "\\n").replace("\t", "\\t")


def visible(line: str) -> str:
    """With nothing in it that a terminal would obey, but the end of a line as Windows has it."""
    text = line.removesuffix("\r")
    return clean(text) + line[len(text) :]


def _no_patch(old: str, new: str, reason: str) -> Iterator[str]:
    """Makes `git apply` refuse, which knows these words from binary files."""
    yield f"Files {old} and {new} differ"
    yield f"# No patch: {reason}."


def _unified(before: list[str], after: list[str], old: str, new: str) -> Iterator[str]:
    compared = difflib.unified_diff(before, after, old, new, lineterm="")
    for number, line in enumerate(compared):
        yield line.removesuffix("\n")
        if number > 1 and line[0] != "@" and not line.endswith("\n"):
            yield "\\ No newline at end of file"
