"""`files`, `diff` and `pull`: what a person sees of a run's files, and gets of them."""

import json
import os
import resource
import stat
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from perdure.console import files
from perdure.console.destination import CannotPull
from perdure.errors import StoreError, UnknownRun, WorkspaceError
from perdure.sandbox.files.checkpoints import Checkpoints
from perdure.sandbox.folder import Folder
from perdure.sandbox.inside.index import Changes
from perdure.settings import Settings
from perdure.store.files import Files, UnknownStep
from perdure.store.migrate import migrate
from perdure.store.packing import pack
from perdure.store.store import Store
from perdure.store.tables import Checkpoint, Run, Turn

ID = "agent-1"


class Recorded:
    """A run in a home of its own, whose steps are functions that change its files."""

    def __init__(self, home: Path, store: Store) -> None:
        self.settings = Settings(home=home)
        self.store = store
        self.root = home / "box/workspace"
        self.root.mkdir(parents=True)
        self._box = Folder(home / "box")
        self._checkpoints = Checkpoints(store)
        self._steps = 0

    async def step(self, change: Callable[[Path], object]) -> None:
        self._steps += 1
        turn = _turn(self._steps)
        await self.store.keep(turn)
        change(self.root)
        await self._checkpoints.save("run", self._box, turn=turn.id, key=turn.id)


def _turn(step: int) -> Turn:
    return Turn(
        id=f"t{step}",
        run_id="run",
        parent_id=None,
        step=step,
        entries=[],
        thought="",
        calls=[],
        characters=1,
        model="m",
        finish_reason="stop",
        input_tokens=1,
        output_tokens=1,
        cost_usd=None,
        seconds=0.1,
    )


def _begin(root: Path) -> None:
    (root / "folder/empty").mkdir(parents=True)
    (root / "folder/text").write_text("one\ntwo\nthree\n")
    (root / "folder/text").chmod(0o640)
    (root / "folder/empty").chmod(0o755)
    (root / "folder").chmod(0o755)
    (root / "binary").write_bytes(b"\0\1")
    (root / "binary").chmod(0o644)
    (root / "link").symlink_to("/no/such")


@pytest_asyncio.fixture
async def recorded(tmp_path: Path) -> AsyncIterator[Recorded]:
    """A run that has made a few files in its first step."""
    store = await Store.open(Settings(home=tmp_path / "home").store_url)
    (tmp_path / "home").mkdir()
    await migrate(store.engine)
    spec: dict[str, Any] = {}
    await store.keep(Run(id="run", workflow_id=ID, agent="a", model="m", spec=spec, task="a task"))
    recorded = Recorded(tmp_path / "home", store)
    await recorded.step(_begin)
    yield recorded
    await store.close()


async def _add(recorded: Recorded, changes: Changes) -> None:
    """A state as only a sandbox that was broken into would report it."""
    row = Checkpoint(
        id="c-forged",
        run_id="run",
        parent_id=None,
        state="s",
        turn_id=None,
        key="k",
        changes=pack(changes),
        files=1,
        new_bytes=0,
    )
    await Files(recorded.store).keep(row)


async def test_files_are_listed_with_mode_and_size(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    """One a line, links with their targets, as `ls` shows them."""
    assert await files.files(recorded.settings, ID, None, as_json=False) == 0
    printed = capsys.readouterr()
    lines = [" ".join(line.split()) for line in printed.out.splitlines()]
    assert lines == [
        "-rw-r--r-- 2 binary",
        "drwxr-xr-x folder",
        "drwxr-xr-x folder/empty",
        "-rw-r----- 14 folder/text",
        "lrwxrwxrwx link -> /no/such",
    ]
    assert printed.err == "2 files, 16 bytes\n"


async def test_files_are_listed_for_programs(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kinds by name, modes in octal."""
    await files.files(recorded.settings, ID, 1, as_json=True)
    binary, folder, _, _, link = json.loads(capsys.readouterr().out)
    modified = binary.pop("modified_ns")
    assert modified == (recorded.root / "binary").stat().st_mtime_ns
    assert binary == {"path": "binary", "kind": "file", "mode": "0644", "size": 2}
    assert folder == {"path": "folder", "kind": "folder", "mode": "0755"}
    assert link == {"path": "link", "kind": "link", "target": "/no/such"}


async def test_names_cannot_control_the_terminal(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor break a line, nor be anything that cannot be printed."""
    name = os.fsdecode(b"\x1b[2J\nx\xff")
    await recorded.step(lambda root: (root / name).write_text("\x1b[31m"))
    await files.files(recorded.settings, ID, None, as_json=False)
    await files.diff(recorded.settings, ID, None, None, as_json=False)
    printed = capsys.readouterr().out
    assert r"\x1b[2J\nx\udcff" in printed
    assert r"+\x1b[31m" in printed
    assert "\x1b" not in printed
    await files.files(recorded.settings, ID, None, as_json=True)
    await files.diff(recorded.settings, ID, None, None, as_json=True)
    assert "\x1b" not in capsys.readouterr().out


async def test_each_step_has_its_files(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    """A step that changed nothing has those of the one before."""
    await recorded.step(lambda _: None)
    await recorded.step(lambda root: (root / "binary").unlink())
    listed = []
    for step in range(4):
        await files.files(recorded.settings, ID, step, as_json=True)
        listed.append({each["path"] for each in json.loads(capsys.readouterr().out)})
    assert listed[0] == set()
    assert listed[1] == listed[2] == listed[3] | {"binary"}
    with pytest.raises(UnknownStep, match="has no step 4: it has come to step 3"):
        await files.files(recorded.settings, ID, 4, as_json=True)


async def test_a_run_that_is_not_recorded_is_named(recorded: Recorded, tmp_path: Path) -> None:
    """Nothing is made or started for it."""
    with pytest.raises(UnknownRun, match="'agent-2' is not in this store"):
        await files.files(recorded.settings, "agent-2", None, as_json=False)
    with pytest.raises(StoreError, match="No run has been recorded"):
        await files.files(Settings(home=tmp_path / "none"), ID, None, as_json=False)


async def test_a_diff_is_as_git_shows_it(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines, modes, links, binaries; folders only where they stand for themselves."""

    def change(root: Path) -> None:
        (root / "folder/text").write_text("one\n2\nthree")
        (root / "binary").write_bytes(b"\0\2")
        (root / "link").unlink()
        (root / "link").symlink_to("text")
        (root / "folder/empty").rmdir()
        (root / "new").mkdir()
        (root / "new/script").write_text("run\n")
        (root / "new/script").chmod(0o755)

    await recorded.step(change)
    await recorded.step(lambda root: (root / "new/script").chmod(0o644))
    assert await files.diff(recorded.settings, ID, 1, 2, as_json=False) == 0
    assert capsys.readouterr().out == (
        "diff --git a/binary b/binary\n"
        "Binary files a/binary and b/binary differ\n"
        "# deleted folder folder/empty (no part of the patch: git knows no folders)\n"
        "diff --git a/folder/text b/folder/text\n"
        "--- a/folder/text\n"
        "+++ b/folder/text\n"
        "@@ -1,3 +1,3 @@\n"
        " one\n"
        "-two\n"
        "-three\n"
        "+2\n"
        "+three\n"
        "\\ No newline at end of file\n"
        "diff --git a/link b/link\n"
        "--- a/link\n"
        "+++ b/link\n"
        "@@ -1 +1 @@\n"
        "-/no/such\n"
        "\\ No newline at end of file\n"
        "+text\n"
        "\\ No newline at end of file\n"
        "diff --git a/new/script b/new/script\n"
        "new file mode 100755\n"
        "--- /dev/null\n"
        "+++ b/new/script\n"
        "@@ -0,0 +1 @@\n"
        "+run\n"
    )
    await files.diff(recorded.settings, ID, 2, None, as_json=False)
    assert capsys.readouterr().out == (
        "diff --git a/new/script b/new/script\nold mode 100755\nnew mode 100644\n"
    )


async def test_a_diff_begins_before_the_first_step(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    """By default all that the run made, and nothing that it made and removed."""
    await recorded.step(lambda root: (root / "link").unlink())
    await files.diff(recorded.settings, ID, None, None, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert [(each["path"], each["change"]) for each in found] == [
        ("binary", "added"),
        ("folder/empty", "added"),
        ("folder/text", "added"),
    ]
    assert found[2]["before"] is None
    assert found[2]["after"]["mode"] == "0640"
    assert found[2]["diff"].endswith("+one\n+two\n+three")


async def test_a_diff_can_go_backwards(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what became of another kind is a deletion and an addition."""

    def change(root: Path) -> None:
        (root / "binary").unlink()
        (root / "binary").mkdir()
        (root / "binary/long").write_bytes(b"x" * 1_000_001)

    await recorded.step(change)
    await files.diff(recorded.settings, ID, 2, 1, as_json=False)
    printed = capsys.readouterr().out
    assert "# deleted folder binary (" in printed
    assert "new file mode 100644\nBinary files /dev/null and b/binary differ" in printed
    assert "Binary files a/binary/long and /dev/null differ" in printed


async def test_git_applies_a_diff(
    recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the files as they were before, which become those afterwards."""

    def prepare(root: Path) -> None:
        (root / "gone").write_text("x\n")
        (root / "old name").write_text("moved\n")
        (root / "windows").write_bytes(b"one\r\ntwo\r\n")
        (root / "turned").write_text("a file")
        (root / "opened").mkdir()
        (root / "opened/file").write_text("x")

    def change(root: Path) -> None:
        (root / "folder/text").write_text("one\n2\nthree")
        (root / "folder/text").chmod(0o700)
        (root / "folder").chmod(0o700)
        (root / "gone").unlink()
        (root / "new").mkdir()
        (root / "old name").rename(root / "new/näme")
        (root / "new/empty file").touch(0o755)
        (root / "new/folder").mkdir(0o750)
        (root / "binary").chmod(0o600)
        (root / "link").unlink()
        (root / "link").symlink_to("folder/text")
        (root / "windows").write_bytes(b"one\r\n2\r\n")
        (root / "turned").unlink()
        (root / "turned").symlink_to("gone")
        (root / "opened/file").unlink()
        (root / "opened").rmdir()
        (root / "opened").write_text("now a file\n")

    await recorded.step(prepare)
    await recorded.step(change)
    target = tmp_path / "target"
    await files.pull(recorded.settings, ID, target, 2, force=False)
    capsys.readouterr()
    await files.diff(recorded.settings, ID, 2, 3, as_json=False)
    patch = capsys.readouterr().out
    assert "# new folder new/folder (no part of the patch: git knows no folders)\n" in patch
    assert "# folder folder: permissions 0755, now 0700 (no part" in patch
    assert "# file binary: permissions 0644, now 0600 (no part" in patch
    _apply(patch, target, "--check")
    _apply(patch, target)
    await files.pull(recorded.settings, ID, target, 3, force=False)  # nothing is in conflict
    assert "Wrote 0 files into" in capsys.readouterr().err
    assert not (target / "gone").exists()
    assert not (target / "old name").exists()
    assert (target / "folder/text").stat().st_mode & stat.S_IXUSR
    assert (target / "new/empty file").stat().st_mode & stat.S_IXUSR


@pytest.mark.parametrize(
    ("name", "content"),
    [("binary", b"\0\2"), ("x", b"\x1b[31m\n"), ("a\nb", b"x\n"), ("y", b"y\n" * 4000)],
)
async def test_git_refuses_a_diff_that_is_no_patch(
    recorded: Recorded,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes,
) -> None:
    """Binary, not shown as it is, or too long: it would make something else of the file."""
    if name == "y":
        await recorded.step(lambda root: (root / "y").write_text("z\n" * 4000))
    else:
        await recorded.step(lambda _: None)
    await recorded.step(lambda root: (root / name).write_bytes(content))
    target = tmp_path / "target"
    await files.pull(recorded.settings, ID, target, 2, force=False)
    capsys.readouterr()
    await files.diff(recorded.settings, ID, 2, 3, as_json=False)
    with pytest.raises(subprocess.CalledProcessError):
        _apply(capsys.readouterr().out, target, "--check")


def _apply(patch: str, folder: Path, *options: str) -> None:
    """As for a folder that is no repository, wherever it is."""
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
    command = ["git", "apply", *options]
    subprocess.run(command, cwd=folder, input=patch.encode(), env=environment, check=True)


async def test_files_are_pulled_as_they_were(
    recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Permissions, times, empty folders and links, into a folder that is made for them."""

    def change(root: Path) -> None:
        (root / "tool").write_text("x")
        (root / "tool").chmod(0o4755)
        (root / "closed").mkdir()
        (root / "closed/file").write_text("x")
        (root / "closed").chmod(0o500)

    await recorded.step(change)
    target = tmp_path / "some/where"
    assert await files.pull(recorded.settings, ID, target, None, force=False) == 0
    assert capsys.readouterr().err == f"Wrote 4 files and 1 link into {target}.\n"
    assert (target / "folder/text").read_text() == "one\ntwo\nthree\n"
    status, original = (root / "folder/text" for root in (target, recorded.root))
    assert status.stat().st_mode == original.stat().st_mode
    assert status.stat().st_mtime_ns == original.stat().st_mtime_ns
    assert list((target / "folder/empty").iterdir()) == []
    assert str((target / "link").readlink()) == "/no/such"
    assert stat.S_IMODE((target / "tool").stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "closed").stat().st_mode) == 0o500


async def test_what_is_there_already_is_no_conflict(
    recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second pull writes nothing, and leaves the user's own files and modes."""
    target = tmp_path / "target"
    await files.pull(recorded.settings, ID, target, 1, force=False)
    (target / "mine").write_text("mine")
    (target / "folder").chmod(0o700)
    (target / "binary").chmod(0o600)
    capsys.readouterr()
    assert await files.pull(recorded.settings, ID, target, None, force=False) == 0
    assert "Wrote 0 files into" in (printed := capsys.readouterr().err)
    assert "; 3 were there already." in printed
    assert (target / "mine").read_text() == "mine"
    assert stat.S_IMODE((target / "folder").stat().st_mode) == 0o700
    assert stat.S_IMODE((target / "binary").stat().st_mode) == 0o600


async def test_nothing_is_overwritten_unless_by_force(
    recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first conflicts are named, and no other file is written either."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "binary").write_text("mine")
    (target / "link").write_text("mine")
    assert await files.pull(recorded.settings, ID, target, None, force=False) == 1
    assert (
        "other content, or a repository, at binary, link. Give another" in capsys.readouterr().err
    )
    assert {path.name for path in target.iterdir()} == {"binary", "link"}
    assert await files.pull(recorded.settings, ID, target, None, force=True) == 0
    assert (target / "binary").read_bytes() == b"\0\1"
    assert (target / "link").is_symlink()
    assert (target / "folder/text").exists()


async def test_many_conflicts_are_not_all_named(
    recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their number says enough."""
    target = tmp_path / "target"
    target.mkdir()
    for number in range(7):
        (target / str(number)).write_text("mine")

    def change(root: Path) -> None:
        for number in range(7):
            (root / str(number)).write_text("its")

    await recorded.step(change)
    assert await files.pull(recorded.settings, ID, target, None, force=False) == 1
    assert "0, 1, 2, 3, 4 and 2 more" in capsys.readouterr().err


@pytest.mark.parametrize("force", [False, True])
async def test_nothing_is_written_through_a_link(
    recorded: Recorded, tmp_path: Path, force: bool
) -> None:
    """Links in the folder are conflicts; by force they are replaced, never followed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "text").write_text("untouched")
    target = tmp_path / "target"
    target.mkdir()
    (target / "folder").symlink_to(outside)
    (target / "binary").symlink_to(outside / "text")
    code = await files.pull(recorded.settings, ID, target, None, force=force)
    assert code == (0 if force else 1)
    assert (outside / "text").read_text() == "untouched"
    assert [path.name for path in outside.iterdir()] == ["text"]
    assert (target / "folder").is_symlink() is not force
    assert (target / "binary").is_symlink() is not force


async def test_links_of_the_run_are_not_written_through(recorded: Recorded, tmp_path: Path) -> None:
    """Not even between two pulls: the later one finds the earlier one's link in the way."""
    outside = tmp_path / "outside"
    outside.mkdir()
    await recorded.step(lambda root: (root / "way").symlink_to(outside))

    def change(root: Path) -> None:
        (root / "way").unlink()
        (root / "way").mkdir()
        (root / "way/file").write_text("x")

    await recorded.step(change)
    target = tmp_path / "target"
    await files.pull(recorded.settings, ID, target, 2, force=False)
    assert await files.pull(recorded.settings, ID, target, 3, force=False) == 1
    assert await files.pull(recorded.settings, ID, target, 3, force=True) == 0
    assert (target / "way/file").read_text() == "x"
    assert list(outside.iterdir()) == []


async def test_a_folder_with_something_in_it_is_not_replaced_by_a_file(
    recorded: Recorded, tmp_path: Path
) -> None:
    """Not by force either: what is in it would be lost."""
    target = tmp_path / "target"
    (target / "binary/mine").mkdir(parents=True)
    with pytest.raises(CannotPull, match="'binary' is a folder in .* Move it away"):
        await files.pull(recorded.settings, ID, target, None, force=True)


async def test_an_empty_folder_is_replaced_by_force(recorded: Recorded, tmp_path: Path) -> None:
    """Nothing is lost with it."""
    target = tmp_path / "target"
    (target / "binary").mkdir(parents=True)
    (target / "link").mkdir()
    assert await files.pull(recorded.settings, ID, target, None, force=False) == 1
    assert (target / "binary").is_dir()
    assert await files.pull(recorded.settings, ID, target, None, force=True) == 0
    assert (target / "binary").read_bytes() == b"\0\1"
    assert (target / "link").is_symlink()


@pytest.mark.parametrize("below", ["", "/below"])
async def test_a_folder_that_is_a_file_is_a_wrong_command_line(
    recorded: Recorded, tmp_path: Path, below: str
) -> None:
    """With the cause, as for a workspace."""
    (tmp_path / "file").write_text("x")
    folder = Path(f"{tmp_path}/file{below}")
    with pytest.raises(WorkspaceError, match=f"file{below}' is not a directory. Name another one"):
        await files.pull(recorded.settings, ID, folder, None, force=True)


async def test_links_in_a_circle_are_a_wrong_command_line(
    recorded: Recorded, tmp_path: Path
) -> None:
    """As is the home of nobody."""
    (tmp_path / "loop").symlink_to("loop")
    for folder in (tmp_path / "loop", tmp_path / "loop/below", Path("~nobody-of-that-name/x")):
        with pytest.raises(WorkspaceError, match="cannot be used: .*Name another one"):
            await files.pull(recorded.settings, ID, folder, None, force=True)


async def test_without_space_nothing_half_written_is_left(
    recorded: Recorded, tmp_path: Path
) -> None:
    """A file of the user's is what it was, by force too; a limit stands for the full disk."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "large").write_text("mine")
    (target / "large").chmod(0o640)
    await recorded.step(lambda root: (root / "large").write_bytes(os.urandom(3_000_000)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(CannotPull, match=r"cannot all be written into .* is whole"):
            await files.pull(recorded.settings, ID, target, None, force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (target / "large").read_text() == "mine"
    assert stat.S_IMODE((target / "large").stat().st_mode) == 0o640
    left = {str(each.relative_to(target)) for each in target.rglob("*") if not each.is_dir()}
    assert stat.S_IMODE((target / "folder/empty").stat().st_mode) == 0o755
    assert left <= {"large", "binary", "link", "folder/text"}
    assert all(each.stat().st_size for each in target.rglob("*") if each.is_file())
    assert await files.pull(recorded.settings, ID, target, None, force=True) == 0
    assert (target / "large").stat().st_size == 3_000_000


@pytest.mark.parametrize("path", ["../escaped", "/escaped", "a/../../escaped", "./escaped", ""])
async def test_a_path_that_leads_out_is_refused(
    recorded: Recorded, tmp_path: Path, path: str
) -> None:
    """Whoever forged it: nothing at all is written."""
    await _add(recorded, {path: ["f", 0o644, 0, 0, []]})
    with pytest.raises(CannotPull, match="leads out of any folder"):
        await files.pull(recorded.settings, ID, tmp_path / "target", None, force=True)
    assert not (tmp_path / "escaped").exists()
    assert not (tmp_path / "target").exists()


async def test_a_repository_of_the_users_gets_no_hooks(
    recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Git would run them; where there is no repository yet, one comes with a word of warning."""

    def change(root: Path) -> None:
        (root / "sub/.git/hooks").mkdir(parents=True)
        (root / "sub/.git/hooks/pre-commit").write_text("#!/bin/sh\n")

    await recorded.step(change)
    (tmp_path / "mine/sub/.git").mkdir(parents=True)
    assert await files.pull(recorded.settings, ID, tmp_path / "mine", None, force=False) == 1
    assert "at sub/.git/hooks, sub/.git/hooks/pre-commit." in capsys.readouterr().err
    assert list((tmp_path / "mine/sub/.git").iterdir()) == []
    assert await files.pull(recorded.settings, ID, tmp_path / "new", None, force=False) == 0
    assert "look at hooks and config there" in capsys.readouterr().err
    assert (tmp_path / "new/sub/.git/hooks/pre-commit").exists()
