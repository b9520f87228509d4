"""Searching: in bounded time, whatever the pattern."""

import signal
import time
from pathlib import Path

import pytest

from perdure.sandbox.inside.refusal import Refused
from perdure.sandbox.inside.search import search_files


def search(root: Path, pattern: str, *, seconds: float = 3.0) -> str:
    return search_files(root, pattern=pattern, path=".", glob="*", seconds=seconds)


@pytest.mark.parametrize("pattern", ["^(a|aa)+$", "^(a+)+$", "(?:a*)*c", r"^(?:(a)|\1a)+$|(a+)+b$"])
def test_a_catastrophic_match_is_left(tmp_path: Path, pattern: str) -> None:
    """In its middle; what was found before is kept, and the alarm does not ring later."""
    (tmp_path / "a").write_text("ac" if "c" in pattern else "aaa" if "b" not in pattern else "ab")
    (tmp_path / "b").write_text("a" * 5000 + "d\n")
    began = time.monotonic()
    found = search(tmp_path, pattern, seconds=0.3)
    assert time.monotonic() - began < 2
    assert found.startswith("a:1: ")
    assert found.endswith("\n[Out of time; give a simpler pattern or a narrower path.]")
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_large_tree_is_left_when_time_is_up(tmp_path: Path) -> None:
    """Where no single match takes long."""
    for number in range(200):
        (tmp_path / str(number)).write_text("x\n" * 2_000)
    assert search(tmp_path, "y", seconds=0.02).startswith("[Out of time;")


@pytest.mark.parametrize("pattern", ["(a", "a{2,1}", "(" * 5000 + ")" * 5000, "a{99999999999}"])
def test_what_is_no_regular_expression_is_refused(tmp_path: Path, pattern: str) -> None:
    """With the reason that Python gives."""
    with pytest.raises(Refused, match="is no regular expression: "):
        search(tmp_path, pattern)


def test_a_pattern_of_doubtful_future_is_no_trouble(tmp_path: Path) -> None:
    """Python warns of sets that it may read otherwise one day."""
    (tmp_path / "a").write_text("x[")
    assert search(tmp_path, "[[a]") == "a:1: x["
