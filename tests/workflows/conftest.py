"""A real Temporal server with a worker of every role, its model scripted."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from perdure import attributes
from perdure.contracts import TASK_QUEUE, AgentRequest, AgentResult
from perdure.errors import ToolError
from perdure.hosting.server import binary
from perdure.model.catalog import Catalog
from perdure.model.client import Models
from perdure.settings import Settings
from perdure.store.files import Files
from perdure.store.migrate import migrate
from perdure.store.store import Store
from perdure.testing.scripted_model import ScriptedModel
from perdure.tools import files
from perdure.tools.commands import shell
from perdure.tools.registry import Registry
from perdure.tools.tool import ToolContext, tool
from worker import ROLES, build_sandboxes, build_workers
from workflows.agent import AgentWorkflow


@tool(replay="safe")
async def linger(seconds: float) -> str:
    """Take a while."""
    await asyncio.sleep(seconds)
    return "Rested."


clinging: set[str] = set()
"""The runs of which a call of `cling` has begun and not ended."""


@tool(replay="safe")
async def cling(context: ToolContext, seconds: float) -> str:
    """Take a while to stop when asked to."""
    clinging.add(context.run)
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(seconds)
        clinging.discard(context.run)
    return "Let go."


@tool(replay="safe")
def fail(reason: str) -> str:
    """Fail."""
    raise ToolError(reason)


async def no_local_model() -> str:
    raise AssertionError("no test of workflows asks for the local model")


@dataclass(frozen=True)
class Application:
    """Everything that a run needs, and where to look at what it left."""

    client: Client
    http_url: str
    store: Store
    model: ScriptedModel
    home: Path

    async def start(self, task: str = "task", **fields: Any) -> WorkflowHandle[Any, AgentResult]:
        request = AgentRequest(task=task, **{"model": "scripted", **fields})
        return await self.client.start_workflow(
            AgentWorkflow.run, request, id=f"agent-{uuid4().hex[:8]}", task_queue=TASK_QUEUE
        )

    async def run(self, task: str = "task", **fields: Any) -> AgentResult:
        return await (await self.start(task, **fields)).result()

    async def files(self, run: str) -> dict[str, str]:
        """The text of the files that the run has left."""
        files = Files(self.store)
        entries = await files.entries(await files.last(run))
        found = {path: entry[-1] for path, entry in entries.items() if entry[0] == "f"}
        contents = await files.contents([each for pieces in found.values() for each in pieces])
        return {
            path: b"".join(contents[each] for each in pieces).decode()
            for path, pieces in found.items()
        }

    def shown(self) -> list[dict[str, Any]]:
        """The messages of the latest request."""
        messages: list[dict[str, Any]] = self.model.requests[-1].body["messages"]
        return messages


@pytest.fixture(scope="session")
async def temporal() -> AsyncIterator[tuple[WorkflowEnvironment, str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = await WorkflowEnvironment.start_local(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=str(binary()),
        dev_server_extra_args=["--http-port", str(port)],
        search_attributes=attributes.ALL,
    )
    async with environment:
        yield environment, f"http://127.0.0.1:{port}/api/v1/namespaces/default"


@asynccontextmanager
async def serving(client: Client, http_url: str, home: Path) -> AsyncIterator[Application]:
    """Workers of every role, with a model of their own."""
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(ScriptedModel())
        store = await Store.open(f"sqlite:///{home}/store.db")
        stack.push_async_callback(store.close)
        await migrate(store.engine)
        models = Models(Catalog({"OPENAI_BASE_URL": model.url}, _models(home)), no_local_model)
        stack.push_async_callback(models.close)
        registry = Registry([*files.TOOLS, *shell.TOOLS, linger, cling, fail])
        settings = Settings(home=home, sandbox="none")
        sandboxes = build_sandboxes(settings, store)
        stack.push_async_callback(sandboxes.release)
        workers = build_workers(client, settings, store, models, registry, sandboxes)
        for worker in (each for role in ROLES for each in workers[role]):
            await stack.enter_async_context(worker)
        yield Application(client, http_url, store, model, home)


@pytest.fixture(scope="session")
async def application(
    temporal: tuple[WorkflowEnvironment, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Application]:
    environment, http_url = temporal
    home = tmp_path_factory.mktemp("home")
    async with serving(environment.client, http_url, home) as application:
        yield application


@pytest.fixture
def app(application: Application) -> Application:
    """The application, with nothing remembered of earlier tests."""
    application.model.requests.clear()
    return application


def _models(home: Path) -> Path:
    """A models.toml with a model that speaks in JSON steps, and one that costs."""
    file = home / "models.toml"
    file.write_text(
        '[models.plain]\nmode = "json"\n'
        "[models.dear]\ninput_usd = 1000\noutput_usd = 1000\n"
        "[models.elsewhere]\nbase_url = 'http://127.0.0.1:9/v1'\n"
    )
    return file
