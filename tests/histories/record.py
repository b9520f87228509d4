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
from perdure.store.store import Store
from perdure.testing.replies import call, calls, empty, finish, slow
from perdure.testing.script import Steps
from perdure.testing.scripted_model import ScriptedModel
from perdure.tools.registry import Registry
from worker import build_sandboxes, build_workers
from workflows.agent import AgentWorkflow

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
    await store.migrate()
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


async def _start(client: Client, name: str) -> Handle:
    request = AgentRequest(task=name, agent=AgentSpec(name="recorded"), model="scripted")
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
    script = {"steered": STEERED, "continued": CONTINUED}
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


if __name__ == "__main__":
    run_guarded(record())
