"""Walking a tree of files, and which paths a glob fits."""

import time
from pathlib import Path, PurePath

import pytest

from perdure.sandbox.inside.walk import fits, walk


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("a.py", "*"),
        ("a.py", "*.py"),
        ("src/deep/a.py", "*.py"),
        ("src/a.py", "src/*.py"),
        ("src/a.py", "./src/*.py"),
        ("src/a.py", "src/**/*.py"),
        ("src/b/c/a.py", "src/**/*.py"),
        ("a.py", "**/*.py"),
        ("b/a.py", "**/**/a.py"),
        ("b/a.py", "b/**"),
        ("b/a1.py", "a[0-9].py"),
    ],
)
def test_a_fitting_path(path: str, pattern: str) -> None:
    """Globs are read as in most shells; one without a slash is about the name."""
    assert fits(PurePath(path), pattern)


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("a.txt", "*.py"),
        ("src/deep/a.py", "src/*.py"),
        ("a.py", "src/**/*.py"),
        ("src/a.py", "./*.py"),
        ("A.PY", "*.py"),
    ],
)
def test_a_path_that_does_not_fit(path: str, pattern: str) -> None:
    """A star stays within one name."""
    assert not fits(PurePath(path), pattern)


def test_no_glob_takes_long() -> None:
    """A model may write any number of stars."""
    began = time.perf_counter()
    assert not fits(PurePath("/".join("a" * 40)), "**/a/" * 20 + "b")
    assert not fits(PurePath("a" * 200), "*a" * 30 + "b")
    assert not fits(PurePath("a/b"), "**/" * 5000 + "c")
    assert time.perf_counter() - began < 1


def test_a_walk_goes_in_order_and_follows_no_link(tmp_path: Path) -> None:
    """A link to a folder above would never end."""
    for name in ("b/x", "a/y", "node_modules/z"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    found = [str(node.path) for node in walk(tmp_path, 9)]
    assert found == ["a", "a/y", "b", "b/x", "loop", "node_modules"]


def test_a_walk_stops_at_its_depth(tmp_path: Path) -> None:
    """One level is the folder's own content."""
    (tmp_path / "a/b/c").mkdir(parents=True)
    assert [str(node.path) for node in walk(tmp_path, 2)] == ["a", "a/b"]
