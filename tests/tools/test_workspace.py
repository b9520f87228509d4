"""The workspace: no path leads out of it, and it is made whole or not at all."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.errors import ToolError, WorkspaceError
from perdure.tools.workspace import Workspace, Workspaces


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
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
    for name, target in links.items():
        (root / name).symlink_to(target)
    return Workspace(root)


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
def test_a_path_inside_is_resolved(workspace: Workspace, path: str, place: str) -> None:
    """Whether it exists or not, and through links that stay inside."""
    resolved = workspace.resolve(path)
    assert resolved == (workspace.root / place).resolve()
    assert workspace.resolve(workspace.name(resolved)) == resolved


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
def test_a_path_that_leads_out_is_refused(workspace: Workspace, path: str, sentence: str) -> None:
    """The model is told why, in a sentence."""
    with pytest.raises(ToolError, match=sentence) as refused:
        workspace.resolve(path)
    assert len(str(refused.value)) < 200


PARTS = st.sampled_from(
    ["..", ".", "", "out", "in", "loop", "folder", "chain", "dangling-out", "neighbour", "secret"]
)


@pytest.fixture(scope="module")
def hostile() -> Iterator[Workspace]:
    """One workspace with hostile links, for many tries."""
    with tempfile.TemporaryDirectory() as outside:
        root = Path(outside, "inside")
        (root / "folder").mkdir(parents=True)
        targets = {"out": "..", "in": "folder", "loop": "loop", "neighbour": "../x"}
        for name, target in targets.items() | {("dangling-out", "../new"), ("folder/chain", "/")}:
            (root / name).symlink_to(target)
        yield Workspace(root)


@given(path=st.lists(PARTS | st.text(max_size=5), max_size=6).map("/".join) | st.text())
def test_no_path_escapes(hostile: Workspace, path: str) -> None:
    """Whatever is written, the place lies under the root or is refused in a sentence."""
    try:
        place = hostile.resolve(path)
    except ToolError:
        return
    real = os.path.realpath(hostile.root)
    assert os.path.commonpath([real, os.path.realpath(place)]) == real


async def test_one_writer_at_a_time(workspace: Workspace) -> None:
    """Two calls of one reply must not change the same file at once."""
    inside = 0

    async def write() -> None:
        nonlocal inside
        async with workspace.alone():
            inside += 1
            await asyncio.sleep(0)
            assert inside == 1
            inside -= 1

    await asyncio.gather(*(write() for _ in range(5)))


def test_an_empty_workspace_is_made_once(tmp_path: Path) -> None:
    """A second call leaves what the agent has written."""
    workspaces = Workspaces(tmp_path / "workspaces")
    workspace = workspaces.prepare("run-1", None)
    (workspace.root / "work").touch()
    assert workspaces.prepare("run-1", None) == workspace == workspaces.at("run-1")
    assert workspace.root == tmp_path / "workspaces" / "run-1"
    assert names(workspace.root) == {"work"}


def test_a_source_is_copied(tmp_path: Path) -> None:
    """Links stay links, modes stay, and the source is not touched by the agent's work."""
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/run.sh").write_text("exit 0")
    (source / "sub/run.sh").chmod(0o755)
    (source / "link").symlink_to("sub/run.sh")
    (source / "gone").symlink_to("/no/such/place")
    root = Workspaces(tmp_path / "home/workspaces").prepare("r", str(source)).root
    assert (root / "link").readlink() == Path("sub/run.sh")
    assert (root / "gone").is_symlink()
    assert (root / "sub/run.sh").stat().st_mode & 0o777 == 0o755
    (root / "sub/run.sh").write_text("changed")
    assert (source / "sub/run.sh").read_text() == "exit 0"


def test_what_is_no_file_is_not_copied(tmp_path: Path) -> None:
    """Opening a pipe would wait for ever."""
    source = tmp_path / "source"
    source.mkdir()
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.path.relpath(source / "socket"))
        root = Workspaces(tmp_path / "home/workspaces").prepare("r", str(source)).root
    assert names(root) == set()


@pytest.mark.parametrize("home", [".perdure", "deep/data"])
def test_the_data_directory_is_not_copied(tmp_path: Path, home: str) -> None:
    """With the current folder as source, the default data directory lies inside it."""
    (tmp_path / home / "workspaces/old").mkdir(parents=True)
    (tmp_path / home / "perdure.db").touch()
    (tmp_path / "code.py").touch()
    root = Workspaces(tmp_path / home / "workspaces").prepare("r", str(tmp_path)).root
    assert {str(path.relative_to(root)) for path in root.rglob("*")} <= {"code.py", "deep"}


def test_the_data_directory_may_be_named(tmp_path: Path) -> None:
    """Where workspaces lie elsewhere, or deeper in it."""
    (tmp_path / "data").mkdir()
    workspaces = Workspaces(tmp_path / "elsewhere/files", home=tmp_path / "data")
    root = workspaces.prepare("r", str(tmp_path)).root
    assert names(root) == {"elsewhere"}
    assert names(root / "elsewhere") == set()


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("relative/place", "'relative/place' is not an absolute path"),
        ("/no/such/place", "'/no/such/place' is no existing folder"),
        ("/dev/null", "'/dev/null' is no existing folder"),
        ("/nul\0", "is no existing folder"),
        ("/" + "x" * 300, "File name too long"),
    ],
)
def test_a_wrong_source_is_refused(tmp_path: Path, source: str, sentence: str) -> None:
    """And leaves nothing behind, so that a corrected run can begin."""
    with pytest.raises(WorkspaceError, match=sentence):
        Workspaces(tmp_path / "w").prepare("r", source)
    assert names(tmp_path / "w") == {".drafts"}
    assert names(tmp_path / "w/.drafts") == set()


def test_the_data_directory_is_no_source(tmp_path: Path) -> None:
    """It would be copied into itself."""
    (tmp_path / "home").mkdir()
    with pytest.raises(WorkspaceError, match="is the data directory itself"):
        Workspaces(tmp_path / "home/workspaces").prepare("r", str(tmp_path / "home"))


def test_a_data_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """The cause is the system's, the cure is ours."""
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match=r"file/w/r' cannot be made: .*Check the data dir"):
        Workspaces(tmp_path / "file/w").prepare("r", None)


@pytest.mark.parametrize("run", ["", ".", "..", ".drafts", "a/b", "a\0", "x" * 256])
def test_a_run_id_that_is_no_folder_name_is_refused(tmp_path: Path, run: str) -> None:
    """Run ids come from outside too."""
    with pytest.raises(WorkspaceError, match="cannot name a folder"):
        Workspaces(tmp_path).at(run)


def test_a_killed_copy_is_made_again(tmp_path: Path) -> None:
    """After kill -9 in the middle no half workspace is taken for a whole one."""
    source, root = tmp_path / "source", tmp_path / "home/workspaces"
    source.mkdir()
    numbers = {str(number) for number in range(1000)}
    for name in numbers:
        (source / name).touch()
    program = (
        "from pathlib import Path; from perdure.tools.workspace import Workspaces; "
        f"Workspaces(Path({str(root)!r})).prepare('r', {str(source)!r})"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as copying:
        pause = threading.Event()
        while not any(root.glob(".drafts/r/*/*")) and copying.poll() is None:
            pause.wait(0.001)
        copying.send_signal(signal.SIGKILL)
    assert not (root / "r").exists() or copying.returncode == 0
    workspace = Workspaces(root).prepare("r", str(source))
    assert names(workspace.root) == numbers
    assert names(root / ".drafts") == set()
