"""Records the histories that `test_replay.py` replays, with the workflow as it is now.

Recorded again, under new names, when a workflow has changed on purpose; the old ones stay for as
long as runs of that age may be open.

    python -m tests.histories.record
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain
from pathlib import Path

from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from perdure import attributes
from perdure.connection import run_guarded
from perdure.contracts import (
    TASK_QUEUE,
    AgentRequest,
    AgentResult,
    AgentSpec,
    Message,
    RunStatus,
)
from perdure.hosting.server import binary
from perdure.model.catalog import Catalog
from perdure.model.client import Models
from perdure.model.local.child import LocalModel
from perdure.settings import Settings
from perdure.store.migrate import migrate
from perdure.store.store import Store
from perdure.teams.contracts import MemberGroup, Supervision, TeamRequest, TeamSpec
from perdure.testing.replies import call, calls, empty, finish, slow, status
from perdure.testing.script import Steps
from perdure.testing.scripted_model import ScriptedModel
from perdure.tools.registry import Registry
from worker import build_sandboxes, build_workers
from workflows.agent import AgentWorkflow
from workflows.team import TeamWorkflow

HERE = Path(__file__).parent
EVENTS_BEFORE_NEW = 100
"""The server suggests to continue as new after so few, for a recording that can be read."""
STEERED: Steps = [
    calls(call("write_file", path="a", content="1"), call("write_file", path="b", content="2")),
    call("wait", seconds=3600, reason="until told"),
    slow(1, calls(call("read_file", path="a"), call("read_file", path="missing"))),
    empty(),
    call("unheard_of"),
    finish("steered"),
]
CONTINUED: Steps = [
    *(call("write_file", path=f"{number}.txt", content="text") for number in range(30)),
    finish("continued"),
]

WORKERS = ("worker-1", "worker-2")
TEAM: dict[str, Steps] = {
    "the team's goal": [
        call(
            "assign",
            tasks=[
                {"id": "first", "task": "do first", "to": "worker"},
                {"id": "second", "task": "do second", "to": "worker", "depends_on": ["first"]},
                {"id": "third", "task": "do third", "to": "worker"},
            ],
        ),
        call("wait_for_tasks"),
        call("list_tasks"),
        *(call("send_message", to="worker-1", text=f"message {number}") for number in range(12)),
        call("wait_for_tasks", tasks=["first"]),
        finish("the team is done"),
    ],
    "do first": [call("send_message", to="chief", text="a word"), finish("one")],
    "do second": [finish("two")],
    "do third": [status(401, "refused")],
}
DELEGATED: dict[str, Steps] = {
    "delegated": [
        calls(
            call("delegate", agent="assistant", task="part a"),
            call("delegate", agent="nobody", task="part b"),
        ),
        finish("delegated"),
    ],
    "part a": [finish("a")],
}

Handle = WorkflowHandle[AgentWorkflow, AgentResult]


@asynccontextmanager
async def _server() -> AsyncIterator[Client]:
    limit = f"limit.historyCount.suggestContinueAsNew={EVENTS_BEFORE_NEW}"
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(binary()),
        dev_server_extra_args=["--dynamic-config-value", limit],
        data_converter=pydantic_data_converter,
        search_attributes=attributes.ALL,
        identity="recorder",
    ) as environment:
        yield environment.client


@asynccontextmanager
async def _workers(client: Client, home: Path, model: ScriptedModel) -> AsyncIterator[None]:
    settings = Settings(home=home)
    store = await Store.open(settings.store_url)
    await migrate(store.engine)
    catalog = Catalog({**os.environ, "OPENAI_BASE_URL": model.url}, home / "models.toml")
    models = Models(catalog, LocalModel().url)
    sandboxes = build_sandboxes(settings, store)
    workers = build_workers(client, settings, store, models, Registry.load(), sandboxes)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        stack.push_async_callback(models.close)
        for worker in chain.from_iterable(workers.values()):
            await stack.enter_async_context(worker)
        yield


async def _start(client: Client, name: str, tools: tuple[str, ...] | None = None) -> Handle:
    agent = AgentSpec(name="recorded", tools=tools)
    request = AgentRequest(task=name, agent=agent, model="scripted")
    return await client.start_workflow(
        AgentWorkflow.run, request, id=f"agent-{name}", task_queue=TASK_QUEUE
    )


async def _steer(handle: Handle) -> None:
    """Wake it from its wait, pause it while it thinks, and let it go on."""
    await _until(handle, RunStatus.WAITING)
    await handle.execute_update(AgentWorkflow.tell, Message(text="Go on."))
    await handle.execute_update(AgentWorkflow.pause)
    await handle.execute_update(AgentWorkflow.tell, Message(text="Slowly.", sender="another"))
    await _until(handle, RunStatus.PAUSED)
    await handle.execute_update(AgentWorkflow.resume)


async def _until(handle: Handle, status: RunStatus) -> None:
    while (await handle.query(AgentWorkflow.status)).status != status:
        await asyncio.sleep(0.05)


async def _keep(client: Client, id: str, run: str | None, name: str) -> None:
    history = await client.get_workflow_handle(id, run_id=run).fetch_history()
    (HERE / f"{name}.json").write_text(history.to_json() + "\n")


async def record() -> None:
    script = {"steered": STEERED, "continued": CONTINUED, **TEAM, **DELEGATED}
    with tempfile.TemporaryDirectory() as home:
        async with (
            _server() as client,
            ScriptedModel(script) as model,
            _workers(client, Path(home), model),
        ):
            steered = await _start(client, "steered")
            await _steer(steered)
            assert (await steered.result()).answer == "steered"
            await _keep(client, steered.id, steered.first_execution_run_id, "steered")
            continued = await _start(client, "continued")
            assert (await continued.result()).answer == "continued"
            first = continued.first_execution_run_id
            await _keep(client, continued.id, first, "continued_first")
            await _keep(client, continued.id, None, "continued_last")
            await _record_team(client)
            delegated = await _start(client, "delegated", tools=("delegate",))
            assert (await delegated.result()).answer == "delegated"
            await _keep(client, delegated.id, None, "delegated")


async def _record_team(client: Client) -> None:
    """A team that sees a member fail for good, and continues as new; its lead; a member's run."""
    spec = TeamSpec(
        name="recorded",
        lead=MemberGroup(agent=AgentSpec(name="chief")),
        members=(MemberGroup(agent=AgentSpec(name="worker"), count=len(WORKERS)),),
        supervision=Supervision(max_restarts=1),
    )
    request = TeamRequest(goal="the team's goal", team=spec, model="scripted")
    team = await client.start_workflow(
        TeamWorkflow.run, request, id="team-recorded", task_queue=TASK_QUEUE
    )
    assert (await team.result()).answer == "the team is done"
    await _keep(client, team.id, team.first_execution_run_id, "team_first")
    await _keep(client, team.id, None, "team_last")
    await _keep(client, f"{team.id}.chief.1", None, "team_lead")
    await _keep(client, f"{team.id}.worker-1.1", None, "team_member")


if __name__ == "__main__":
    run_guarded(record())
