"""The sandboxes of one machine: opened, removed, and not in each other's way."""

import asyncio
from pathlib import Path

import pytest

from perdure.contracts import OpenSandbox
from perdure.sandbox.sandbox import SandboxError
from perdure.settings import Settings
from perdure.store.store import Store
from tests.model.turns import make_run
from worker import build_sandboxes

OPEN = OpenSandbox(run="run", workflow_id="agent-1", executes=True)


async def test_two_that_remove_one_sandbox_both_succeed(store: Store, tmp_path: Path) -> None:
    """A run that ends and a reaper, or a person who cleans up."""
    await store.keep(make_run("run"))
    sandboxes = build_sandboxes(Settings(home=tmp_path, sandbox="none"), store)
    await sandboxes.open(OPEN)
    (found,) = await sandboxes.found()
    await asyncio.gather(*(sandboxes.remove(found) for _ in range(3)))
    assert await sandboxes.found() == []
    assert list((tmp_path / "sandboxes").iterdir()) == []
    await sandboxes.release()


async def test_an_opening_that_is_not_wanted_any_more_is_undone(
    store: Store, tmp_path: Path
) -> None:
    """However far it came."""
    await store.keep(make_run("run"))
    sandboxes = build_sandboxes(Settings(home=tmp_path, sandbox="none"), store)
    opening = asyncio.create_task(sandboxes.open(OPEN))
    await asyncio.sleep(0.1)
    opening.cancel()
    await asyncio.wait([opening])
    await sandboxes.discard(OPEN)
    assert await sandboxes.found() == []
    await sandboxes.release()


async def test_who_lost_a_sandbox_takes_it_from_nobody_who_has_found_it_again(
    store: Store, tmp_path: Path
) -> None:
    """Calls that run side by side lose it together, and come to know of it one by one."""
    await store.keep(make_run("run"))
    sandboxes = build_sandboxes(Settings(home=tmp_path, sandbox="none"), store)
    place = await sandboxes.open(OPEN)
    lost = await sandboxes.at("run", place)
    await sandboxes.forget(place, lost)
    found = await sandboxes.at("run", place)
    await sandboxes.forget(place, lost)
    assert await sandboxes.at("run", place) is found
    assert await found.changes(None) is not None
    await sandboxes.remove((await sandboxes.found())[0])
    await sandboxes.release()


async def test_a_folder_with_what_its_agent_locked_is_removed_whole(
    store: Store, tmp_path: Path
) -> None:
    """Folders that take no change are no hindrance."""
    await store.keep(make_run("run"))
    sandboxes = build_sandboxes(Settings(home=tmp_path), store)
    await sandboxes.open(OPEN.model_copy(update={"executes": False}))
    locked = tmp_path / "sandboxes" / "run" / "workspace" / "locked"
    locked.mkdir()
    (locked / "file").touch()
    locked.chmod(0o500)
    (found,) = await sandboxes.found()
    await sandboxes.remove(found)
    assert not (tmp_path / "sandboxes" / "run").exists()


async def test_what_a_worker_isolates_no_request_unisolates(store: Store, tmp_path: Path) -> None:
    """Whoever can start runs is not thereby its operator."""
    await store.keep(make_run("run", sandbox={"kind": "none"}))
    sandboxes = build_sandboxes(Settings(home=tmp_path, sandbox="bwrap"), store)
    with pytest.raises(SandboxError, match="PERDURE_SANDBOX is 'bwrap'"):
        await sandboxes.open(OPEN)
    assert await sandboxes.found() == []
    await sandboxes.release()
