"""Where agents work for tests: one server, one worker of every role, and a model with a script."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import docker
import psutil
import pytest
from docker.errors import DockerException
from temporalio.client import Client

from perdure.connection import connect
from perdure.contracts import TASK_QUEUE, AgentRequest, AgentResult
from perdure.hosting.ports import free_port
from perdure.hosting.server import EmbeddedServer
from perdure.sandbox.machine import machine_of
from perdure.settings import Settings
from perdure.store.files import Files
from perdure.store.store import Store
from perdure.store.tables import StoredEntry
from perdure.testing.replies import Completion
from perdure.testing.scripted_model import ScriptedModel
from worker import ROLES, serving
from workflows.agent import AgentWorkflow


@dataclass(frozen=True)
class Work:
    """What a run has left in the store."""

    result: AgentResult
    run: str
    where: list[str]
    """What those who watch were told of where its commands run."""
    results: list[StoredEntry]
    """Of its calls, in order."""
    files: dict[str, str]
    """Texts by path, as the last checkpoint has them."""

    def told(self, tool: str) -> list[str]:
        """What the model was told by each call of that tool."""
        return [row.text for row in self.results if row.tool == tool]


@dataclass(frozen=True)
class Office:
    """The parts, and how to have an agent do something."""

    client: Client
    model: ScriptedModel
    store: Store
    home: Path
    kind: str
    """Of sandboxes."""

    async def work(
        self, agent: str, script: Sequence[Completion], workspace: Path | None = None
    ) -> Work:
        """Have the agent do what the script says, to the end."""
        self.model.follow(script)
        request = AgentRequest(
            task="Do what is to be done.",
            agent=agent,
            model="scripted",
            workspace=str(workspace) if workspace else None,
        )
        handle = await self.client.start_workflow(
            AgentWorkflow.run, request, id=f"agent-{uuid4().hex}", task_queue=TASK_QUEUE
        )
        result = await handle.result()
        run = (await self.store.find_run(handle.id)).id
        news = await self.store.news(run, None)
        entries = [row for row in news if isinstance(row, StoredEntry)]
        return Work(
            result=result,
            run=run,
            where=[row.text for row in entries if row.kind == "sandbox"],
            results=[row for row in entries if row.kind == "result"],
            files=await files_of(self.store, run),
        )

    def left(self) -> list[str]:
        """What sandboxes have left on this machine: folders, processes, containers, volumes."""
        folders = [str(each) for each in (self.home / "sandboxes").glob("*")]
        return folders + processes(self.home / "sandboxes") + _in_docker(self.home)


@asynccontextmanager
async def opened(home: Path, environment: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    """An office in which the real composition root serves every role."""
    home.mkdir()  # noqa: ASYNC240 - a moment
    # Not the usual port of the Web UI, for which all servers that start now compete.
    server = await EmbeddedServer.start(Settings(home=home, ui_port=free_port()))
    try:
        async with ScriptedModel() as model:
            environment.setenv("OPENAI_BASE_URL", model.url)
            environment.setenv("PERDURE_HOME", str(home))
            settings = Settings.load()
            client = await connect(server.address)
            async with serving(client, settings, ROLES):
                store = await Store.open(settings.store_url)
                try:
                    yield Office(client, model, store, home, settings.sandbox)
                finally:
                    await store.close()
    finally:
        await server.stop()


async def files_of(store: Store, run: str, step: int | None = None) -> dict[str, str]:
    """The texts of the run's files by path, after that step or as they were last."""
    files = Files(store)
    point = await (files.last(run) if step is None else files.at(run, step))
    entries = await files.entries(point)
    pieces = {path: entry[4] for path, entry in entries.items() if entry[0] == "f"}
    contents = await files.contents([each for digests in pieces.values() for each in digests])
    return {
        path: b"".join(contents[each] for each in digests).decode(errors="replace")
        for path, digests in pieces.items()
    }


def processes(place: Path) -> list[str]:
    """Those that work in a folder below `place`, or were started with its name."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(place) in f"{process.cwd()} {process.cmdline()} {process.environ()}":
                found.append(str(process))
    return found


def _in_docker(home: Path) -> list[str]:
    label: dict[str, str | list[str] | bool] = {"label": f"perdure.home={machine_of(home)}"}
    try:
        client = docker.from_env()
    except DockerException:
        return []
    with closing(client):
        containers = client.containers.list(all=True, filters=label)
        volumes = client.volumes.list(filters=label)
        return [str(each.name) for each in containers] + [str(each.name) for each in volumes]
