"""Runs whose tools execute commands: one sandbox each, its files recorded, nothing left behind."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from perdure.contracts import AgentSpec, SandboxSpec
from perdure.store.tables import StoredEntry
from perdure.testing.replies import call, finish, say
from tests.workflows.conftest import Application

COUNT = "echo x >> count; wc -l < count"


async def test_commands_and_files_share_one_workspace(app: Application) -> None:
    """What a command leaves is read by the file tools, and recorded."""
    app.model.follow(
        [
            call("execute_shell", command="mkdir -p d && echo hello > d/a.txt; pwd"),
            call("read_file", path="d/a.txt"),
            finish("ok"),
        ]
    )
    handle = await app.start()
    assert (await handle.result()).status == "completed"
    assert app.shown()[-1]["content"].startswith("hello")
    run = await app.store.find_run(handle.id)
    assert await app.files(run.id) == {"d/a.txt": "hello\n"}


async def test_nothing_is_left_behind(app: Application) -> None:
    """Neither the folder nor a process that a command has left in the background."""
    app.model.follow([call("execute_shell", command="setsid sleep 4711 & echo $!"), finish("ok")])
    handle = await app.start()
    await handle.result()
    pid = app.shown()[-1]["content"].split()[0]
    assert not _is_alive(pid)
    run = await app.store.find_run(handle.id)
    assert not (app.home / "sandboxes" / run.id).exists()


async def test_a_cancelled_run_has_no_process_left_when_it_reports(app: Application) -> None:
    """Neither the command nor what it had started, by whatever way."""
    command = "setsid nohup sleep 4712 >/dev/null 2>&1 & echo $! > pid; sleep 4712"
    app.model.follow([call("execute_shell", command=command), finish("never")])
    handle = await app.start()
    run = await _recorded(app, handle.id)
    file = app.home / "sandboxes" / run / "workspace" / "pid"
    await _until(lambda: file.exists() and file.read_text().strip() != "")
    pid = file.read_text().strip()
    await handle.cancel()
    assert (await handle.result()).status == "cancelled"
    assert not _is_alive(pid)


async def test_the_next_run_goes_on_with_the_files(app: Application) -> None:
    """A run that continues from an earlier one's head begins with the files as they were then."""
    app.model.follow([call("execute_shell", command=COUNT), finish("one")])
    first = await app.run()
    # The script goes on where the transcript does.
    app.model.follow([say(""), say(""), call("execute_shell", command=COUNT), finish("two")])
    await app.run(head=first.head)
    assert app.shown()[-1]["content"].split()[0] == "2"


async def test_a_kind_that_cannot_be_had_ends_the_run(app: Application) -> None:
    """With the cure, and before a model is asked twice."""
    spec = AgentSpec(name="a", sandbox=SandboxSpec(kind="docker", image="perdure-no-such-image"))
    app.model.follow([call("execute_shell", command="true"), finish("never")])
    result = await app.run(agent=spec)
    assert result.status == "failed"
    assert "Docker" in result.reason


@pytest.mark.parametrize("kind", ["none"])
async def test_watchers_are_told_where_commands_run(app: Application, kind: str) -> None:
    """And are warned when nothing isolates them."""
    app.model.follow([call("execute_shell", command="true"), finish("ok")])
    handle = await app.start(sandbox=kind)
    await handle.result()
    run = await app.store.find_run(handle.id)
    rows = await app.store.news(run.id, None)
    told = [row.text for row in rows if isinstance(row, StoredEntry) and row.kind == "sandbox"]
    assert len(told) == 1
    assert "NOT ISOLATED" in told[0]


def _is_alive(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()


async def _recorded(app: Application, workflow_id: str) -> str:
    for _ in range(100):
        found = [s.run.id for s in await app.store.runs(50) if s.run.workflow_id == workflow_id]
        if found:
            return found[0]
        await asyncio.sleep(0.05)
    raise AssertionError(workflow_id)


async def _until(condition: Any) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come true")
