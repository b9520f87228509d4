"""Searching the files of a workspace, line by line and in bounded time."""

import re
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import NoReturn

from . import place as places
from .refusal import Refused, explained
from .text import opened, pieces
from .walk import DEEPEST, fits, walk

SECONDS = 3.0
MATCHES = 100
SHOWN = 240
"""Characters of a matching line."""


class TimeIsUp(Exception):
    """No OSError as TimeoutError is: those are overlooked while walking."""


@dataclass(frozen=True, slots=True)
class Search:
    """One regular expression, and when to give up on it."""

    expression: re.Pattern[str]
    root: Path
    deadline: float

    def matches(self, place: Path, glob: str) -> Iterator[str]:
        """Matching lines as `file:line: text`."""
        if not place.is_dir():
            yield from self._matches_in(place)
            return
        for node in walk(place, DEEPEST):
            if node.is_file and fits(node.path, glob):
                # Binary, unreadable or gone: nothing can be found there.
                with suppress(Refused, PermissionError, FileNotFoundError):
                    yield from self._matches_in(place / node.path)

    def _matches_in(self, file: Path) -> Iterator[str]:
        name = places.name(self.root, file)
        with opened(file, name) as text:
            for number, line in pieces(text):
                if time.monotonic() > self.deadline:
                    raise TimeIsUp
                if match := self.expression.search(line):
                    yield f"{name}:{number}: {_around(line, match.start())}"


def search_files(
    root: Path, *, pattern: str, path: str, glob: str, seconds: float = SECONDS
) -> str:
    """Lines that `pattern` matches, in the file `path` or in those under it that fit `glob`.

    Must run in the main thread of a process of its own: that is how it is kept in time.
    """
    place = places.resolve(root, path)
    found: list[str] = []
    try:
        with _time_limit(seconds), explained("searched", path):
            search = Search(_compiled(pattern), root, time.monotonic() + seconds)
            # One by one into the list, so that what was found before time was up is kept.
            found.extend(islice(search.matches(place, glob), MATCHES + 1))
    except TimeIsUp:
        found.append("[Out of time; give a simpler pattern or a narrower path.]")
    if len(found) > MATCHES:
        found[MATCHES:] = [f"[Only the first {MATCHES}; give a narrower pattern or path.]"]
    return "\n".join(found) or f"[No line in {path} matches {pattern}.]"


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():  # about what later versions of Python may read otherwise
            warnings.simplefilter("ignore")
            return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise Refused(f"Pattern {pattern!r} is no regular expression: {error}.") from None


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeIsUp` in the block when time is up, in the middle of a match too.

    A pattern such as (a|aa)+$ may match for years; `re` looks for signals while it does.
    """

    def give_up(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _around(line: str, position: int) -> str:
    """A line of ordinary length whole, of a long one what surrounds the match."""
    if len(line) <= SHOWN:
        return line
    begin = max(0, position - SHOWN // 3)
    return f"…{line[begin : begin + SHOWN]}…"
