"""Checkpoints: recorded whole or not at all, once, and brought back as they were."""

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from perdure.errors import WorkspaceError
from perdure.sandbox.files.checkpoints import Checkpoints
from perdure.sandbox.folder import Folder
from perdure.sandbox.inside.pieces import PIECE
from perdure.sandbox.sandbox import SandboxLost
from perdure.store.packing import unpack
from perdure.store.store import Store
from perdure.store.tables import Checkpoint, Piece

KINDS = {"f": "file", "d": "folder", "l": "link"}


class Box(Folder):
    """A sandbox with its workspace at hand, whose pieces can be interfered with."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.root = place / "workspace"
        self.root.mkdir(parents=True, exist_ok=True)
        self.asked: list[tuple[str, int, int]] = []
        self.before_pieces: Callable[[], None] = lambda: None

    async def pieces(self, wanted: list[tuple[str, int, int]]) -> bytes:
        self.before_pieces()
        self.asked += wanted
        return await super().pieces(wanted)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path / "box")


@pytest.fixture
def checkpoints(store: Store) -> Checkpoints:
    return Checkpoints(store)


async def _save(checkpoints: Checkpoints, box: Box, key: str = "k", run: str = "r") -> Checkpoint:
    saved = await checkpoints.save(run, box, turn="t", key=key)
    assert saved is not None
    return saved


async def _rows(store: Store) -> tuple[list[Checkpoint], list[Piece]]:
    async with AsyncSession(store.engine) as session:
        checkpoints = list(await session.exec(select(Checkpoint)))
        return checkpoints, list(await session.exec(select(Piece)))


def _files(root: Path) -> dict[str, tuple[int, int, bytes | str]]:
    """All that is to come back: mode, time and content by path."""
    found: dict[str, tuple[int, int, bytes | str]] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = (0, 0, str(path.readlink()))
        elif path.is_dir():
            found[name] = (status.st_mode, 0, "")
        else:
            found[name] = (status.st_mode, status.st_mtime_ns, path.read_bytes())
    return found


def _git(folder: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


def _writing(file: Path, content: Callable[[], str]) -> Callable[[], None]:
    def write() -> None:
        file.write_text(content())

    return write


async def test_a_change_is_recorded_once(checkpoints: Checkpoints, box: Box, store: Store) -> None:
    """What did not change since makes no checkpoint, whatever it is called."""
    (box.root / "file").write_text("x")
    saved = await _save(checkpoints, box)
    assert (saved.run_id, saved.turn_id, saved.key, saved.parent_id) == ("r", "t", "k", None)
    assert (saved.files, saved.new_bytes) == (1, 1)
    assert await checkpoints.save("r", box, turn="t", key="k") is None
    assert await checkpoints.save("r", box, turn="t", key="another") is None
    assert len((await _rows(store))[0]) == 1


async def test_nothing_in_an_empty_workspace_is_recorded(
    checkpoints: Checkpoints, box: Box
) -> None:
    """A run that writes no files has no checkpoints."""
    assert await checkpoints.save("r", box, turn="t", key="k") is None
    assert await checkpoints.state("r") == {}


async def test_a_checkpoint_holds_only_what_changed(checkpoints: Checkpoints, box: Box) -> None:
    """And the content that was stored before is not read again."""
    for name in "abc":
        (box.root / name).write_text(f"content of {name}")
    first = await _save(checkpoints, box, "1")
    box.asked.clear()
    (box.root / "b").unlink()
    (box.root / "c").write_text("changed")
    (box.root / "d").write_text("content of a")
    second = await _save(checkpoints, box, "2")
    assert (second.parent_id, second.files) == (first.id, 3)
    assert second.created_at > first.created_at
    assert [path for path, _, _ in box.asked] == ["c"]
    assert unpack(second.changes)["b"] is None
    assert set(await checkpoints.state("r")) == {"a", "c", "d"}


async def test_contents_are_kept_once_for_all_runs(
    checkpoints: Checkpoints, tmp_path: Path, store: Store
) -> None:
    """Ten runs that begin with the same files take the space of one."""
    for run in "abc":
        box = Box(tmp_path / run)
        (box.root / "file").write_bytes(b"same" * 1000)
        await _save(checkpoints, box, run, run)
    rows, pieces = await _rows(store)
    assert [row.new_bytes for row in rows] == [4000, 0, 0]
    assert [(piece.size, len(piece.data) < 100) for piece in pieces] == [(4000, True)]


async def test_all_comes_back_in_another_sandbox(
    checkpoints: Checkpoints, box: Box, tmp_path: Path
) -> None:
    """Permissions, links, empty folders, large files, and a repository that git accepts."""
    (box.root / "code.py").write_text("print()")
    _git(box.root, "init", "-q")
    _git(box.root, "add", ".")
    _git(box.root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    (box.root / "empty/inner").mkdir(parents=True)
    (box.root / "link").symlink_to("/no/such")
    (box.root / "large").write_bytes(os.urandom(PIECE) + b"tail")
    (box.root / "run").write_text("#!/bin/sh")
    (box.root / "run").chmod(0o700)
    (box.root / "closed").mkdir()
    (box.root / "closed/file").write_text("x")
    (box.root / "closed").chmod(0o500)
    saved = await _save(checkpoints, box)
    other = Box(tmp_path / "other")
    await checkpoints.restore("r", other)
    assert _files(other.root) == _files(box.root)
    assert await checkpoints.save("r", other, turn="t", key="next") is None
    (other.root / "code.py").write_text("changed")
    later = await _save(checkpoints, other, "later")
    assert (later.parent_id, list(unpack(later.changes))) == (saved.id, ["code.py"])
    assert _git(other.root, "status", "--short", "--untracked-files=no") == b" M code.py\n"


async def test_a_run_without_checkpoints_is_restored_to_nothing(
    checkpoints: Checkpoints, box: Box
) -> None:
    """Its sandbox begins empty."""
    await checkpoints.restore("r", box)
    assert _files(box.root) == {}


async def test_much_is_fetched_and_written_in_batches(
    checkpoints: Checkpoints, box: Box, tmp_path: Path, store: Store
) -> None:
    """More files and more bytes than fit one message."""
    for number in range(1500):
        (box.root / f"{number}").write_text(str(number))
    for number in range(3):
        (box.root / f"large-{number}").write_bytes(os.urandom(2 * PIECE))
    await _save(checkpoints, box)
    assert len((await _rows(store))[1]) == 1506
    other = Box(tmp_path / "other")
    await checkpoints.restore("r", other)
    assert _files(other.root) == _files(box.root)


async def test_a_crash_leaves_no_checkpoint_and_a_retry_makes_a_whole_one(
    checkpoints: Checkpoints, box: Box, tmp_path: Path, store: Store
) -> None:
    """What was fetched before the crash need not be fetched again."""
    for number in range(3):
        (box.root / f"{number}").write_bytes(os.urandom(4 * PIECE))

    def lose() -> None:
        if box.asked:
            raise SandboxLost("gone")

    box.before_pieces = lose
    with pytest.raises(SandboxLost):
        await _save(checkpoints, box)
    assert await checkpoints.state("r") == {}
    with pytest.raises(SandboxLost):
        await _save(checkpoints, box)
    rows, pieces = await _rows(store)
    assert (len(rows), len(pieces)) == (0, 0)
    box.before_pieces = lambda: None
    await _save(checkpoints, box)
    other = Box(tmp_path / "other")
    await checkpoints.restore("r", other)
    assert _files(other.root) == _files(box.root)


async def test_a_restored_sandbox_can_be_restored_again(
    checkpoints: Checkpoints, box: Box, tmp_path: Path
) -> None:
    """An attempt that was killed half-way is repeated over what it left."""
    (box.root / "closed").mkdir()
    (box.root / "closed/file").write_text("x")
    (box.root / "closed").chmod(0o500)
    (box.root / "link").symlink_to("closed")
    await _save(checkpoints, box)
    other = Box(tmp_path / "other")
    await checkpoints.restore("r", other)
    await checkpoints.restore("r", other)
    assert _files(other.root) == _files(box.root)


async def test_a_file_that_changes_while_it_is_fetched_is_looked_at_again(
    checkpoints: Checkpoints, box: Box
) -> None:
    """The checkpoint has the content that its digest names."""
    file = box.root / "file"
    file.write_text("before")
    box.before_pieces = _writing(file, lambda: "after")
    await _save(checkpoints, box)
    entry = (await checkpoints.state("r"))["file"]
    assert entry[3] == len("after")


async def test_a_file_that_never_rests_is_left_to_the_next_checkpoint(
    checkpoints: Checkpoints, box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    """With a warning; the other files are recorded, and it comes along later."""
    file = box.root / "busy"
    file.write_text("?")
    (box.root / "calm").write_text("x")
    box.before_pieces = _writing(file, lambda: os.urandom(8).hex())
    await _save(checkpoints, box, "1")
    assert set(await checkpoints.state("r")) == {"calm"}
    assert "'busy'" in caplog.text
    box.before_pieces = lambda: None
    await _save(checkpoints, box, "2")
    assert set(await checkpoints.state("r")) == {"busy", "calm"}


async def test_a_sandbox_that_began_anew_is_told_the_state(
    checkpoints: Checkpoints, box: Box
) -> None:
    """It compares all contents with it, and finds what changed meanwhile."""
    for name in "ab":
        (box.root / name).write_text(name)
    first = await _save(checkpoints, box, "1")
    (box.root / "a").write_text("changed")
    anew = Box(box.root.parent)
    second = await _save(checkpoints, anew, "2")
    assert (second.parent_id, list(unpack(second.changes))) == (first.id, ["a"])


async def test_saves_of_parallel_calls_make_a_chain(
    checkpoints: Checkpoints, box: Box, store: Store
) -> None:
    """Each is the parent of the next, and none repeats another."""

    async def work(name: str) -> None:
        for number in range(5):
            (box.root / name).write_text(str(number))
            await checkpoints.save("r", box, turn="t", key=f"{name}{number}")

    await asyncio.gather(*(work(name) for name in "abcd"))
    rows = (await _rows(store))[0]
    assert len({row.parent_id for row in rows}) == len(rows)
    assert set(await checkpoints.state("r")) == set("abcd")
    assert await checkpoints.save("r", box, turn="t", key="last") is None


async def test_saves_of_two_processes_make_a_chain(
    checkpoints: Checkpoints, box: Box, store: Store
) -> None:
    """Of two that follow on the same state one is recorded, and the other looks again."""
    other = Box(box.root.parent)

    async def work(checkpoints: Checkpoints, box: Box, name: str) -> None:
        for number in range(10):
            (box.root / name).write_text(f"{number} of {name}")
            await checkpoints.save("r", box, turn="t", key=f"{name}{number}")

    await asyncio.gather(work(checkpoints, box, "a"), work(Checkpoints(store), other, "b"))
    rows = (await _rows(store))[0]
    assert len({row.parent_id for row in rows}) == len(rows)
    assert set(await checkpoints.state("r")) == {"a", "b"}
    assert await checkpoints.save("r", box, turn="t", key="last") is None


async def test_a_users_folder_is_the_first_checkpoint(store: Store, tmp_path: Path) -> None:
    """Our own data in it is left out, and a retry finds it recorded."""
    source = tmp_path / "project"
    (source / ".perdure/runs").mkdir(parents=True)
    (source / ".perdure/store.db").write_text("ours")
    (source / "code.py").write_text("print()")
    (source / "link").symlink_to("code.py")
    checkpoints = Checkpoints(store, private=[source / ".perdure"])
    await checkpoints.first("r", str(source), 1)
    (source / "code.py").write_text("later")
    await checkpoints.first("r", str(source), 1)
    entries = await checkpoints.state("r")
    assert {path: KINDS[entry[0]] for path, entry in entries.items()} == {
        "code.py": "file",
        "link": "link",
    }
    [row] = (await _rows(store))[0]
    assert row.turn_id is None
    box = Box(tmp_path / "box")
    await checkpoints.restore("r", box)
    assert (box.root / "code.py").read_text() == "print()"


async def test_a_users_folder_may_be_named_by_a_link(store: Store, tmp_path: Path) -> None:
    """It is the folder that counts."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project/file").write_text("x")
    (tmp_path / "link").symlink_to("project")
    checkpoints = Checkpoints(store)
    await checkpoints.first("r", str(tmp_path / "link"), 1)
    assert set(await checkpoints.state("r")) == {"file"}


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("relative", "is not an absolute path; give all of it"),
        ("{}/none", "is no existing folder on this machine"),
        ("{}/large", "is no existing folder on this machine"),
        ("{}/home", "is the data directory itself; give the folder of a project"),
        ("{}", "more than 1,048,576 bytes. That is the `disk_mb: 1` .* raise it"),
    ],
)
async def test_a_folder_that_cannot_be_copied_is_refused(
    store: Store, tmp_path: Path, source: str, sentence: str
) -> None:
    """The sentence names it and the cause, and nothing is recorded."""
    (tmp_path / "home").mkdir()
    (tmp_path / "large").write_bytes(bytes(2**20 + 1))
    checkpoints = Checkpoints(store, private=[tmp_path / "home"])
    with pytest.raises(WorkspaceError, match=sentence):
        await checkpoints.first("r", source.format(tmp_path), 1)
    assert await _rows(store) == ([], [])


async def test_a_users_file_that_is_too_large_for_any_sandbox_is_to_be_left_out(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """No `disk_mb` would help; nor above what all files together may ever have."""
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**30 + 1)
    with pytest.raises(WorkspaceError, match=r"one file may have. Give a folder without it"):
        await checkpoints.first("r", str(tmp_path), 4096)
    (tmp_path / "huge").unlink()
    for number in range(9):
        with (tmp_path / str(number)).open("wb") as file:
            file.truncate(2**30)
    with pytest.raises(WorkspaceError, match="No workspace may have more; give a smaller folder"):
        await checkpoints.first("r", str(tmp_path), 100_000)


async def test_what_no_checkpoint_can_hold_is_named_in_the_log(
    checkpoints: Checkpoints, box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    """With the reason; the other files are recorded."""
    (box.root / "calm").write_text("x")
    with (box.root / "huge").open("wb") as file:
        file.truncate(2**40)
    await _save(checkpoints, box)
    assert set(await checkpoints.state("r")) == {"calm"}
    assert "'huge': its 1,099,511,627,776 bytes" in caplog.text
