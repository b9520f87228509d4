"""A folder as a sandbox: its files can be worked on, and nothing is run."""

import asyncio
import time
from pathlib import Path

import pytest

from perdure.errors import ToolError
from perdure.sandbox.folder import Folder
from perdure.sandbox.sandbox import Command, NoSandbox, Sandbox, SandboxError

COMMAND = Command(("touch", "file"))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "workspace").mkdir()
    return Folder(tmp_path)


async def test_no_command_is_run(tmp_path: Path, folder: Folder) -> None:
    """Nothing would isolate it; what to install is said."""
    for refused in (folder.run, folder.recall):
        with pytest.raises(NoSandbox, match="apt install bubblewrap.*--sandbox none"):
            await refused("step", COMMAND, print)
    assert list((tmp_path / "workspace").iterdir()) == []


async def test_an_operation_works_on_the_workspace(tmp_path: Path, folder: Folder) -> None:
    """Data goes in and comes out."""
    await folder.operate("write_file", {"path": "a/b", "key": "key"}, b"\0")
    assert (tmp_path / "workspace/a/b").read_bytes() == b"\0"
    assert await folder.operate("read_bytes", {"path": "a/b", "limit": 9}) == (None, b"\0")


async def test_a_refusal_is_the_models_to_read(folder: Folder) -> None:
    """From operations in this process and from a search, which is in another."""
    with pytest.raises(ToolError, match="'a' does not exist"):
        await folder.operate("read_bytes", {"path": "a", "limit": 9})
    with pytest.raises(ToolError, match="'a' does not exist"):
        await folder.operate("search_files", {"path": "a", "pattern": "x", "glob": "*"})


async def test_a_search_that_takes_long_holds_nothing_up(tmp_path: Path, folder: Folder) -> None:
    """Neither this process's loop nor its other threads; what was found before is kept."""
    (tmp_path / "workspace/a").write_text("aaa\n" + "a" * 5000 + "b")
    request = {"path": ".", "pattern": "^(a|aa)+$", "glob": "*"}
    searching = asyncio.create_task(folder.operate("search_files", request))
    began, reads = time.monotonic(), 0
    while time.monotonic() - began < 0.5:
        await folder.operate("read_bytes", {"path": "a", "limit": 9})
        reads += 1
    assert reads > 20
    value, _ = await searching
    assert value == "a:1: aaa\n[Out of time; give a simpler pattern or a narrower path.]"


async def test_changes_since_a_state(tmp_path: Path, folder: Folder) -> None:
    """Only what differs from the state is told, and its identity stays while nothing does."""
    (tmp_path / "workspace/a").write_bytes(b"one")
    found = await folder.changes(None)
    assert found is not None
    first, changes, _ = found
    assert set(changes) == {"a"}
    assert await folder.changes(first) == (first, {}, [])
    assert await folder.pieces([("a", 0, 3)]) == b"one"
    (tmp_path / "workspace/a").unlink()
    found = await folder.changes(first)
    assert found is not None
    assert found[1] == {"a": None}


async def test_a_state_of_another_process_is_adopted(tmp_path: Path, folder: Folder) -> None:
    """After a crash its entries come from the store."""
    (tmp_path / "workspace/a").write_bytes(b"one")
    found = await folder.changes(None)
    assert found is not None
    state, entries, _ = found
    later = Folder(tmp_path)
    assert await later.changes(state) is None
    await later.adopt(state, entries)
    assert await later.changes(state) == (state, {}, [])


async def test_a_state_is_restored(tmp_path: Path, folder: Folder) -> None:
    """By the operation that every sandbox has."""
    await folder.operate("restore", {"make": {"d": ["d", 0o700]}, "settle": {"d": ["d", 0o750]}})
    assert (tmp_path / "workspace/d").stat().st_mode & 0o777 == 0o750


async def test_a_workspace_that_is_gone_is_named(tmp_path: Path) -> None:
    """With what to look at; this is nothing that a model can mend."""
    for work in (
        Folder(tmp_path).changes(None),
        Folder(tmp_path).operate("restore", {"make": {"d": ["d", 0o700]}}),
    ):
        with pytest.raises(SandboxError, match="workspace' cannot be used: .*Look at its perm"):
            await work


async def test_it_is_known_when_its_files_are_there(tmp_path: Path, folder: Folder) -> None:
    """For every worker that opens it, after a crash too."""
    assert not folder.is_ready
    await folder.make_ready()
    later: Sandbox = Folder(tmp_path)
    assert later.is_ready
    assert later.kind == "folder"
    assert later.incarnation == folder.incarnation
    await later.close()
