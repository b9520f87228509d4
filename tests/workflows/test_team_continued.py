"""Teams whose workflows continue as new again and again lose nothing by it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from perdure import attributes
from perdure.connection import execute_update
from perdure.contracts import Message
from perdure.hosting.server import binary
from perdure.testing.replies import call, calls, finish
from perdure.testing.script import Attempts, ChatRequest
from tests.workflows.conftest import Application, serving
from tests.workflows.teams import (
    Handle,
    asked,
    assign,
    ended,
    group,
    places,
    spec,
    start,
    state,
    text,
    until,
    wait,
)
from workflows.team import TeamWorkflow

EVENTS_BEFORE_NEW = 40


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Application]:
    """An application whose server suggests to continue as new after a few events."""
    limit = f"limit.historyCount.suggestContinueAsNew={EVENTS_BEFORE_NEW}"
    async with (
        await WorkflowEnvironment.start_local(
            dev_server_existing_path=str(binary()),
            dev_server_extra_args=["--dynamic-config-value", limit],
            data_converter=pydantic_data_converter,
            search_attributes=attributes.ALL,
        ) as environment,
        serving(environment.client, "", tmp_path) as application,
    ):
        yield application


async def is_continued(app: Application, id: str) -> bool:
    described = await app.client.get_workflow_handle(id).describe()
    first = described.raw_description.workflow_execution_info.first_run_id
    return described.run_id != first


async def test_a_team_and_its_runs_continue_as_new_and_lose_nothing(hasty: Application) -> None:
    """Tasks, messages, budget and children go on as if nothing had been."""
    ids = [f"task-{letter}" for letter in "abcdefghijkl"]
    lists = [call("list_files"), call("linger", seconds=0.2)] * 4
    app = hasty

    def lead(request: ChatRequest) -> Attempts:
        if request.place < len(ids):
            return assign(ids[request.place])
        if request.place == len(ids):
            return call("send_message", to="worker-1", text="word 1.")
        is_done = all(f"{id} · done" in text(request) for id in ids)
        return finish("ok") if is_done else wait()  # a message may wake it

    app.model.follow(
        {
            "the goal": lead,
            **{f"do {id}": [call("list_files"), finish(id), finish(id)] for id in ids},
            "do task-a": [
                *lists,
                calls(*(call("send_message", to="chief", text=f"to lead {n}.") for n in range(3))),
                *[finish("a")] * 2,  # a message may come with the first
            ],
        }
    )
    handle = await start(app, spec(members=(group(count=3),)))
    result = await asyncio.wait_for(handle.result(), 60)
    final = await state(handle)
    assert [each.failures for each in final.members] == [()] * 4
    assert (result.status, result.answer) == ("completed", "ok")
    assert ended(final) == dict.fromkeys(ids, "done")
    assert await is_continued(app, handle.id)
    assert await is_continued(app, f"{handle.id}.chief.1")
    assert await is_continued(app, await _worker_of(handle, "task-a"))
    last = text(asked(app, "the goal")[-1])
    assert [last.count(f"to lead {n}.") for n in range(3)] == [1, 1, 1]
    assert places(app, "the goal") == list(range(len(asked(app, "the goal"))))
    assert final.messages == {"chief>worker-1": 1, "worker-1>chief": 3}
    assert len(app.model.requests) == result.steps
    assert sum(each.runs for each in final.members) == 13


@pytest.mark.slow
async def test_a_paused_team_stays_paused(hasty: Application) -> None:
    """And what its user tells it meanwhile is read when it goes on."""
    app = hasty
    app.model.follow(
        {
            "the goal": [
                *(call("linger", seconds=n / 100) for n in range(12)),
                assign("a"),
                wait(),
                wait(),
                finish("ok"),
            ],
            "do a": [call("linger", seconds=1), finish("a")],
        }
    )
    handle = await start(app, spec(members=(group(),)))
    await until(lambda: bool(asked(app, "do a")))
    await execute_update(app.client, handle.id, TeamWorkflow.pause)
    for n in range(12):
        told = Message(text=f"told {n}.")
        await execute_update(app.client, handle.id, TeamWorkflow.tell, told)
    async with asyncio.timeout(30):
        while not await is_continued(app, handle.id):
            await asyncio.sleep(0.05)
    assert (await state(handle)).status == "paused"
    await execute_update(app.client, handle.id, TeamWorkflow.resume)
    assert (await asyncio.wait_for(handle.result(), 30)).answer == "ok"
    last = text(asked(app, "the goal")[-1])
    assert [last.count(f"told {n}.") for n in range(12)] == [1] * 12


async def _worker_of(handle: Handle, id: str) -> str:
    """The workflow id of the member's first run that did the task."""
    task = next(each for each in (await state(handle)).tasks if each.id == id)
    return f"{handle.id}.{task.member}.1"
