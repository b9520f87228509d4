"""Places in a workspace: no path leads out of it, and one writer works at a time."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.sandbox.inside.place import alone, name, resolve
from perdure.sandbox.inside.refusal import Refused


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with a folder, a secret beside it, and links of every kind."""
    root = tmp_path / "inside"
    (root / "folder").mkdir(parents=True)
    (root / "file").write_text("hello")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "inside-too").mkdir()
    links = {
        "in": "folder",
        "out": "..",
        "absolute": str(tmp_path / "secret"),
        "dangling-in": "folder/new",
        "dangling-out": "../new",
        "neighbour": "../inside-too",
        "loop": "loop",
        "folder/chain": "../out",
    }
    for link, target in links.items():
        (root / link).symlink_to(target)
    return root


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("file", "file"),
        ("./folder//x", "folder/x"),
        (".", "."),
        ("", "."),
        ("in/new", "folder/new"),
        ("dangling-in", "folder/new"),
        ("no/such/place", "no/such/place"),
        ("~", "~"),
        ("..x", "..x"),
    ],
)
def test_a_path_inside_is_resolved(root: Path, path: str, place: str) -> None:
    """Whether it exists or not, and through links that stay inside."""
    resolved = resolve(root, path)
    assert resolved == (root / place).resolve()
    assert resolve(root, name(root, resolved)) == resolved


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/etc/passwd", "'/etc/passwd' is absolute"),
        ("//etc", "is absolute"),
        ("..", r"contains '\.\.'"),
        ("folder/../../secret", r"contains '\.\.'"),
        ("folder/..", r"contains '\.\.'"),
        ("out/secret", "leads out of the workspace"),
        ("out", "leads out"),
        ("absolute", "leads out"),
        ("dangling-out", "leads out"),
        ("neighbour/x", "leads out"),
        ("folder/chain/secret", "leads out"),
        ("a\0b", "a character that no file name can hold"),
        ("\ud800", "a character that no file name can hold"),
        ("x" * 300, "too long for a file name"),
        ("é" * 200, "too long for a file name"),
        ("x/" * 5000, "too long for a file name"),
    ],
)
def test_a_path_that_leads_out_is_refused(root: Path, path: str, sentence: str) -> None:
    """The model is told why, in a sentence."""
    with pytest.raises(Refused, match=sentence) as refused:
        resolve(root, path)
    assert len(str(refused.value)) < 200


PARTS = st.sampled_from(
    ["..", ".", "", "out", "in", "loop", "folder", "chain", "dangling-out", "neighbour", "secret"]
)


@pytest.fixture(scope="module")
def hostile() -> Iterator[Path]:
    """One workspace with hostile links, for many tries."""
    with tempfile.TemporaryDirectory() as outside:
        root = Path(outside, "inside")
        (root / "folder").mkdir(parents=True)
        targets = {"out": "..", "in": "folder", "loop": "loop", "neighbour": "../x"}
        for link, target in targets.items() | {("dangling-out", "../new"), ("folder/chain", "/")}:
            (root / link).symlink_to(target)
        yield root


@given(path=st.lists(PARTS | st.text(max_size=5), max_size=6).map("/".join) | st.text())
def test_no_path_escapes(hostile: Path, path: str) -> None:
    """Whatever is written, the place lies under the root or is refused in a sentence."""
    try:
        place = resolve(hostile, path)
    except Refused:
        return
    real = os.path.realpath(hostile)
    assert os.path.commonpath([real, os.path.realpath(place)]) == real


def test_one_writer_at_a_time(root: Path) -> None:
    """Two calls of one reply must not change the same file at once."""
    inside: list[int] = []
    most: list[int] = []

    def write() -> None:
        with alone(root):
            inside.append(1)
            threading.Event().wait(0.01)
            most.append(len(inside))
            inside.pop()

    writers = [threading.Thread(target=write) for _ in range(5)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert most == [1] * 5


def test_a_lock_that_another_program_holds_is_said(root: Path) -> None:
    """A command of the agent's can lock its workspace and never end."""
    hold = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], 0), 2); print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(Refused, match="locked by another program"), alone(root, seconds=0.05):
            pass
        holder.communicate(b"\n")
    with alone(root):
        pass
