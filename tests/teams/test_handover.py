"""Which of a colleague's files are taken, and what is told of them."""

from typing import Any

import pytest

from perdure.errors import ToolError
from perdure.sandbox.inside.index import Entries
from perdure.teams.handover import MOST_BYTES, MOST_FILES, Handover


def _file(size: int = 1, digest: str = "d") -> list[Any]:
    return ["f", 0o644, 0, size, [digest]]


STATE: Entries = {
    ".git": ["d", 0o755],
    ".git/HEAD": _file(),
    ".pytest_cache": ["d", 0o755],
    ".pytest_cache/README.md": _file(),
    "app.py": _file(),
    "link": ["l", "app.py"],
    "src": ["d", 0o755],
    "src/__pycache__": ["d", 0o755],
    "src/__pycache__/x.pyc": _file(),
    "src/x.py": _file(),
    "srcs": _file(),
}


@pytest.mark.parametrize(
    ("paths", "taken"),
    [
        (None, {"app.py", "src/x.py", "srcs"}),
        ([], {"app.py", "src/x.py", "srcs"}),
        (["."], {"app.py", "src/x.py", "srcs"}),
        (["src"], {"src/x.py"}),
        (["./src/", "app.py"], {"src/x.py", "app.py"}),
        (["src/__pycache__"], {"src/__pycache__/x.pyc"}),
        ([".git/HEAD"], {".git/HEAD"}),
    ],
)
def test_files_and_folders_are_taken(paths: list[str] | None, taken: set[str]) -> None:
    """Of what is seldom wanted, such as .git, only what is named."""
    assert set(Handover(STATE, paths, None).files) == taken


def test_what_was_left_out_is_told() -> None:
    """Links too, which might lead elsewhere in another workspace."""
    told = Handover(STATE, None, None).told({})
    assert told == (
        "Took 3 files (3 bytes): app.py, src/x.py, srcs."
        " Left out: .git, .pytest_cache, __pycache__, link (a link)."
    )


def test_files_are_told_by_name() -> None:
    """And taken so: a state has them in the order in which they changed."""
    handover = Handover({"b": _file(2), "a": _file(2)}, None, None)
    told = handover.told({"b": _file(), "a": _file()})
    assert told == "Took 2 files (4 bytes): a, b. They replace your own: a, b."


def test_that_there_was_nothing_is_told() -> None:
    """A colleague may not have written anything yet."""
    assert Handover({}, None, None).told({}) == "There was no file to take."


@pytest.mark.parametrize(
    ("path", "hint"), [("ap.py", " Did you mean 'app.py'?"), ("/etc/passwd", ""), ("..", "")]
)
def test_a_path_that_is_not_there_is_refused(path: str, hint: str) -> None:
    """With a near one, and what there is."""
    with pytest.raises(ToolError) as caught:
        Handover(STATE, [path], None)
    assert f"{path!r} is not among the colleague's files.{hint} At the top" in str(caught.value)
    assert "app.py, link, src, srcs." in str(caught.value)


@pytest.mark.parametrize(
    "state",
    [{"big": _file(MOST_BYTES + 1)}, {f"{n}": _file() for n in range(MOST_FILES + 1)}],
)
def test_too_much_at_once_is_refused(state: Entries) -> None:
    """The sentence says how much it is, how much may be, and how to take less."""
    with pytest.raises(ToolError, match=r"at most .* are taken at once\. Name some of"):
        Handover(state, None, None)


def test_what_replaces_own_files_is_told() -> None:
    """Where they are put; not what is the same already, or was only touched."""
    own = {
        "to/app.py": _file(2, "e"),
        "to/src/x.py": ["f", 0o600, 99, 1, ["d"]],
        "srcs": _file(2, "e"),
    }
    told = Handover(STATE, ["app.py", "src", "srcs"], "to/").told(own)
    assert "Took 3 files (3 bytes): to/app.py, to/src/x.py, to/srcs." in told
    assert "They replace your own: to/app.py. " in told
