"""Searching the files of a workspace, line by line and in bounded time."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import regex

from perdure.errors import ToolError
from perdure.tools.text import opened, pieces
from perdure.tools.tree import DEEPEST, fits, walk
from perdure.tools.workspace import Workspace

SECONDS = 3.0
MATCHES = 100
SHOWN = 240
"""Characters of a matching line."""


@dataclass(frozen=True, slots=True)
class Search:
    """One regular expression, and when to give up on it."""

    expression: "regex.Pattern[str]"
    workspace: Workspace
    deadline: float

    @classmethod
    def of(cls, pattern: str, workspace: Workspace) -> "Search":
        try:
            expression = regex.compile(pattern)
        except (regex.error, RecursionError) as error:
            raise ToolError(f"Pattern {pattern!r} is no regular expression: {error}.") from None
        return cls(expression, workspace, time.monotonic() + SECONDS)

    def run(self, place: Path, glob: str) -> list[str]:
        """Matching lines as `file:line: text`, and a note when there may be more."""
        found: list[str] = []
        try:
            # One by one into the list, so that what was found before time was up is kept.
            found.extend(islice(self._matches(place, glob), MATCHES + 1))
        except TimeoutError:
            found.append("[Out of time; give a simpler pattern or a narrower path.]")
        if len(found) > MATCHES:
            found[MATCHES:] = [f"[Only the first {MATCHES}; give a narrower pattern or path.]"]
        return found

    def _matches(self, place: Path, glob: str) -> Iterator[str]:
        if not place.is_dir():
            yield from self._matches_in(place)
            return
        for node in walk(place, DEEPEST):
            if node.is_file and fits(node.path, glob):
                # Binary, unreadable or gone: nothing can be found there.
                with suppress(ToolError, PermissionError, FileNotFoundError):
                    yield from self._matches_in(place / node.path)

    def _matches_in(self, file: Path) -> Iterator[str]:
        name = self.workspace.name(file)
        with opened(file, name) as text:
            for number, line in pieces(text):
                # The `regex` package keeps time inside a match and lets other threads run, as `re`
                # cannot: a pattern such as (a|aa)+$ would hold the worker for ever.
                if match := self.expression.search(line, timeout=self._left()):
                    yield f"{name}:{number}: {_around(line, match.start())}"

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _around(line: str, position: int) -> str:
    """A line of ordinary length whole, of a long one what surrounds the match."""
    if len(line) <= SHOWN:
        return line
    begin = max(0, position - SHOWN // 3)
    return f"…{line[begin : begin + SHOWN]}…"
