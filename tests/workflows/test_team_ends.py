"""How a team is held, stopped and ended: nothing of any member is left behind."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowExecutionStatus

from perdure.store.family import Family
from perdure.teams.orphans import cancel_orphans
from perdure.testing.replies import call, calls, finish, say, slow
from perdure.testing.script import ChatRequest
from tests.workflows.conftest import Application, clinging
from tests.workflows.teams import (
    asked,
    assign,
    ended,
    group,
    run,
    spec,
    start,
    state,
    task,
    text,
    until,
    wait,
)
from workflows.agent import AgentWorkflow
from workflows.team import TeamWorkflow

SLEEPING = "sleep\x00300.25"
"""As the system lists the process."""


async def test_a_lead_cannot_finish_with_open_tasks(app: Application) -> None:
    """It is told which, and cancels those that nobody needs: they are stopped."""
    app.model.follow(
        {
            "the goal": [
                assign("a", task("b", "a")),
                call("linger", seconds=0.5),
                finish("too early"),
                call("cancel_tasks", tasks=["a"]),
                finish("ok"),
            ],
            "do a": [call("cling", seconds=1), finish("a")],
        }
    )
    result, final = await run(app)
    assert result.answer == "ok"
    assert ended(final) == {"a": "cancelled", "b": "cancelled"}
    assert "Not ended yet: tasks are open: a, b." in text(asked(app, "the goal")[3])
    assert not clinging
    assert not any(each.failures for each in final.members)


async def test_a_member_whose_task_was_cancelled_takes_another(app: Application) -> None:
    """When what it was at has stopped."""
    app.model.follow(
        {
            "the goal": [
                assign("a"),
                call("linger", seconds=0.5),
                call("cancel_tasks", tasks=["a"]),
                assign("b"),
                wait(),
                finish("ok"),
            ],
            "do a": [call("cling", seconds=0.5)],
            "do b": [finish("b")],
        }
    )
    _, final = await run(app, spec(members=(group(),)))
    assert ended(final) == {"a": "cancelled", "b": "done"}


async def test_a_paused_team_does_nothing_until_it_is_resumed(app: Application) -> None:
    """Members are held before their next think, and no task is begun."""
    app.model.follow(
        {
            "the goal": [assign("a", task("b", "a")), wait(), finish("ok")],
            "do a": [slow(0.5, call("list_files")), finish("a")],
            "do b": [finish("b")],
        }
    )
    handle = await start(app)
    await until(lambda: len(asked(app, "do a")) == 1)
    held = await handle.execute_update(TeamWorkflow.pause)
    assert held.status == "paused"
    await asyncio.sleep(1.5)
    assert len(asked(app, "do a")) == 1
    await handle.execute_update(TeamWorkflow.resume)
    assert (await handle.result()).status == "completed"


async def test_a_cancelled_team_has_ended_when_everything_of_it_has(app: Application) -> None:
    """Every run is closed, every tool has stopped, and only then the result is there."""
    app.model.follow(
        {
            "the goal": [assign("a", "b", "c"), wait()],
            "do a": [call("cling", seconds=1)],
            "do b": [call("execute_shell", command="sleep 300.25")],
            "do c": [call("wait", seconds=300)],
        }
    )
    handle = await start(app, spec(members=(group(count=3),)))
    await until(lambda: bool(clinging) and SLEEPING in _running())
    await handle.cancel()
    result = await handle.result()
    assert (result.status, result.reason) == ("cancelled", "The team was cancelled.")
    assert not clinging
    assert SLEEPING not in _running()
    final = await state(handle)
    assert not any(each.standing in {"working", "stopping"} for each in final.members)
    for each in final.members:
        described = await app.client.get_workflow_handle(each.workflow_id).describe()
        assert described.status != WorkflowExecutionStatus.RUNNING
    stored = await app.store.find_run(handle.id)
    assert stored.result == result.model_dump(mode="json")
    of_team = {each.run.id for each in await Family(app.store).of(handle.id)}
    assert not of_team & {each.name for each in (app.home / "sandboxes").iterdir()}


async def test_a_cancelled_team_leaves_what_its_lead_thought_last(app: Application) -> None:
    """As a run does."""
    assigns = calls(call("assign", tasks=[task("a")]), say="The cause is the cache.")
    app.model.follow({"the goal": [assigns, slow(60, wait())], "do a": [call("cling", seconds=1)]})
    handle = await start(app)
    await until(lambda: bool(clinging))
    await handle.cancel()
    result = await handle.result()
    assert (result.status, result.answer) == ("cancelled", "The cause is the cache.")


async def test_an_id_is_one_teams_for_ever(app: Application) -> None:
    """Members of the first may still be at work, and bear the ids that the second's would."""
    app.model.follow({"the goal": [call("wait", seconds=300)], "another": [finish("mine")]})
    first = await start(app)
    await until(lambda: len(asked(app, "the goal")) == 1)
    await first.terminate()
    second = await (await start(app, goal="another", id=first.id)).result()
    assert second.status == "failed"
    assert f"The id '{first.id}' has been another team's" in second.reason
    async with asyncio.timeout(30):
        while f"{first.id}.chief.1" not in await cancel_orphans(app.client):
            await asyncio.sleep(0.2)  # what Temporal lists is some moments old


async def test_a_team_that_is_cancelled_twice_ends_once(app: Application) -> None:
    """The second time comes too late to change how it ends."""
    app.model.follow({"the goal": [assign("a"), wait()], "do a": [call("cling", seconds=1)]})
    handle = await start(app)
    await until(lambda: bool(clinging))
    await handle.cancel()
    await asyncio.sleep(0.3)
    await handle.cancel()
    assert (await handle.result()).status == "cancelled"
    assert not clinging


async def test_members_without_a_team_end(app: Application) -> None:
    """A team that was terminated is found gone by the next that asks it for something."""
    app.model.follow(
        {
            "the goal": [assign("a"), wait()],
            "do a": [call("linger", seconds=1), call("send_message", to="chief", text="hi")],
        }
    )
    handle = await start(app, spec(members=(group(),)))
    await until(lambda: bool(asked(app, "do a")))
    await handle.terminate()
    member = await app.client.get_workflow_handle(f"{handle.id}.worker.1").result()
    assert member["status"] == "cancelled"
    assert member["reason"] == "The run's team has ended."


def _running() -> str:
    """The command lines of all processes."""
    lines = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(each.read_text())
        except OSError:
            continue
    return "\n".join(lines)


async def test_members_of_a_terminated_team_are_cancelled(app: Application) -> None:
    """Nobody waits for them any more; the reaper, or `clean`, finds them. Others go on."""
    app.model.follow(
        {
            "the goal": [assign("a"), call("linger", seconds=60)],
            "do a": [call("linger", seconds=60)],
            "alone": [call("linger", seconds=1), finish("ok")],
        }
    )
    handle, alone = await start(app), await app.start("alone")
    await until(lambda: len(asked(app, "do a")) == 1)
    await handle.terminate()
    orphans = {f"{handle.id}.chief.1", f"{handle.id}.worker-1.1"}
    cancelled: set[str] = set()
    async with asyncio.timeout(30):
        while not orphans <= cancelled:
            await asyncio.sleep(0.2)  # what Temporal lists is some moments old
            cancelled |= set(await cancel_orphans(app.client))
    for id in orphans:
        member = app.client.get_workflow_handle_for(AgentWorkflow.run, id)
        assert (await member.result()).status == "cancelled"
    assert (await alone.result()).status == "completed"


async def test_a_signal_of_the_wrong_form_is_dropped(app: Application) -> None:
    """Whoever sends it: the team and its members go on."""
    app.model.follow(
        {"the goal": [assign("a"), wait(), finish("ok")], "do a": [call("linger", seconds=1)] * 2}
    )
    handle = await start(app)
    await until(lambda: len(asked(app, "do a")) == 1)
    worker = app.client.get_workflow_handle(f"{handle.id}.worker-1.1")
    forms: tuple[list[Any], ...] = ([], [None], [{}, {}], [{}], ["x"])
    for arguments in forms:
        await handle.signal("ask", args=arguments)
        await handle.signal("report", args=arguments)
        await worker.signal("deliver", args=arguments)
    app.model.follow({"the goal": [say("")] * 2 + [finish("ok")], "do a": [finish("a")] * 3})
    assert (await asyncio.wait_for(handle.result(), 60)).answer == "ok"


async def test_a_lead_that_was_reset_is_answered_again(app: Application) -> None:
    """It numbers what it asks anew, and the team knows another execution by its id."""
    app.model.follow({"the goal": [assign("a"), wait(), finish("ok")], "do a": [finish("a")]})
    app.model.on_request = _slow_down
    try:
        handle = await start(app)
        await until(lambda: len(asked(app, "the goal")) == 2)
        lead = app.client.get_workflow_handle(f"{handle.id}.chief.1")
        found = await lead.describe()
        await app.client.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace=app.client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=lead.id, run_id=found.run_id),
                reason="a test",
                workflow_task_finish_event_id=4,
                request_id=uuid4().hex,
            )
        )
        result = await asyncio.wait_for(handle.result(), 60)
    finally:
        app.model.on_request = None
    assert (result.status, result.answer) == ("completed", "ok")


async def _slow_down(request: ChatRequest) -> None:
    await asyncio.sleep(0.3)
