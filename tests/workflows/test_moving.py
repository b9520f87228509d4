"""Runs whose worker, or whose whole machine, is lost: they go on with their files elsewhere."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from perdure.contracts import TASK_QUEUE, AgentRequest, AgentResult, AgentSpec
from perdure.hosting import leash
from perdure.sandbox.reaper import reap
from perdure.settings import Settings
from perdure.store.migrate import migrate
from perdure.store.store import Store
from perdure.store.tables import StoredEntry
from perdure.teams.contracts import MemberGroup, TeamRequest, TeamSpec
from perdure.testing.replies import call, finish
from perdure.testing.script import ChatRequest
from perdure.testing.scripted_model import ScriptedModel
from tests.crash.trial import in_namespace
from tests.office import files_of, processes
from worker import build_sandboxes
from workflows.agent import AgentWorkflow
from workflows.team import TeamWorkflow

WORKER = Path(__file__).parents[2] / "worker.py"
BEGIN = "touch began; echo begun; sleep 5; echo x >> count; wc -l < count"
SCRIPT = {
    "Take over": [call("execute_shell", command=BEGIN), finish("taken over")],
    "Move on": [
        call("execute_shell", command="mkdir -m 700 d; echo one > d/a; ln -s a d/link"),
        call("execute_shell", command="echo two >> d/link"),
        call("execute_shell", command="cat d/link; readlink d/link; stat -c %a d; echo 3 > c"),
        finish("moved on"),
    ],
    "Lose a call": [
        call("execute_shell", command="echo kept > file"),
        call("execute_shell", command=f"echo lost >> file; {BEGIN.replace('5', '600')}"),
        call("execute_shell", command="cat file; ls"),
        finish("found out"),
    ],
    "Share": [
        call("execute_shell", command="echo lead > file"),
        call("assign", tasks=[{"id": "part", "task": "do part", "to": "worker"}]),
        call("wait_for_tasks"),
        call("execute_shell", command="cat file"),
        finish("shared"),
    ],
    "do part": [
        call("execute_shell", command="echo before >> file"),
        call("execute_shell", command="echo lost >> file"),
        call("execute_shell", command="echo after >> file"),
        finish("done"),
    ],
}


@dataclass
class Site:
    """A server, a store and a model that several machines share; a machine is a home of its own."""

    client: Client
    model: ScriptedModel
    store: Store
    root: Path
    workers: list[asyncio.subprocess.Process] = field(default_factory=list)

    def settings(self, machine: str) -> Settings:
        return Settings(home=self.root / machine, sandbox="bwrap")

    async def worker(self, machine: str, roles: str) -> asyncio.subprocess.Process:
        """Start a worker process of that machine."""
        own = {
            "TEMPORAL_ADDRESS": self.client.service_client.config.target_host,
            "TEMPORAL_NAMESPACE": self.client.namespace,
            "DATABASE_URL": f"sqlite:///{self.root / 'store.db'}",
            "OPENAI_BASE_URL": self.model.url,
            "PERDURE_HOME": str(self.root / machine),
            "PERDURE_SANDBOX": "bwrap",
        }
        with (self.root / f"{machine}.log").open("ab") as log:
            worker = await asyncio.create_subprocess_exec(
                *(sys.executable, "-ISs", leash.__file__, str(os.getpid())),
                *(sys.executable, str(WORKER), "--roles", roles),
                env={**os.environ, **own},
                stdout=log,
                stderr=log,
            )
        self.workers.append(worker)
        return worker

    async def start(self, task: str) -> WorkflowHandle[Any, AgentResult]:
        agent = AgentSpec(name="worker", tools=("execute_shell",))
        request = AgentRequest(task=task, agent=agent, model="scripted")
        return await self.client.start_workflow(
            AgentWorkflow.run, request, id=f"agent-{uuid4().hex}", task_queue=TASK_QUEUE
        )

    async def has_begun(self, machine: str) -> None:
        """Wait until a command on that machine has made the file `began`."""
        await until(lambda: any(self.boxes(machine).glob("*/workspace/began")))

    def boxes(self, machine: str) -> Path:
        return self.root / machine / "sandboxes"

    async def told(self, handle: WorkflowHandle[Any, AgentResult]) -> list[StoredEntry]:
        """What the model was told of each call."""
        run = await self.store.find_run(handle.id)
        news = await self.store.news(run.id, None)
        return [row for row in news if isinstance(row, StoredEntry) and row.kind == "result"]

    async def clean(self, machine: str) -> list[str]:
        """What a reaper that looks at everything removes on that machine."""
        sandboxes = build_sandboxes(self.settings(machine), self.store)
        try:
            return [each.name for each in await reap(self.client, sandboxes, lambda _: True)]
        finally:
            await sandboxes.release()

    async def close(self) -> None:
        for worker in self.workers:
            with suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()
        for machine in ("first", "second"):
            sandboxes = build_sandboxes(self.settings(machine), self.store)
            for found in await sandboxes.found():
                await sandboxes.remove(found)
            await sandboxes.release()


@pytest_asyncio.fixture
async def site(
    temporal: tuple[WorkflowEnvironment, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    """A site without any worker yet."""
    address = temporal[0].client.service_client.config.target_host
    client = await in_namespace(address, f"site-{uuid4().hex[:8]}")
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", client.namespace)
    store = await Store.open(f"sqlite:///{tmp_path / 'store.db'}")
    await migrate(store.engine)
    async with ScriptedModel(SCRIPT) as model:
        site = Site(client, model, store, tmp_path)
        try:
            yield site
        finally:
            await site.close()
            await store.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_another_worker_of_the_machine_takes_over_a_command(site: Site) -> None:
    """It goes on through the worker's death, runs once, and its whole output is had."""
    first = await site.worker("first", "agent,think,act")
    handle = await site.start("Take over")
    await site.has_begun("first")
    first.kill()
    await site.worker("first", "agent,think,act")
    assert (await handle.result()).answer == "taken over"
    (told,) = await site.told(handle)
    assert told.status == "ok"
    assert told.text.startswith("begun\n1\n[exit code 0 after ")
    assert processes(site.boxes("first")) == []
    assert list(site.boxes("first").glob("*")) == []


@pytest.mark.slow
async def test_runs_go_on_when_their_machine_is_lost(site: Site) -> None:
    """With the files of the last step; what was under way has an unknown outcome, and is not rerun.

    One run is between two steps when it happens, the other one in the middle of a command.
    """
    first = await site.worker("first", "act")
    await site.worker("brains", "agent,think")

    async def lose(request: ChatRequest) -> None:
        if "Move on" in request.task and request.place == 2:
            await site.has_begun("first")
            first.kill()
            await site.worker("second", "act")

    site.model.on_request = lose
    runs = [await site.start("Move on"), await site.start("Lose a call")]
    moved, lost = await asyncio.gather(*(run.result() for run in runs))
    assert (moved.answer, lost.answer) == ("moved on", "found out"), (moved, lost)

    *_, seen = await site.told(runs[0])
    assert seen.text.startswith("one\ntwo\na\n700\n")
    run = await site.store.find_run(runs[0].id)
    assert await files_of(site.store, run.id) == {"d/a": "one\ntwo\n", "c": "3\n"}

    _, unknown, seen = await site.told(runs[1])
    assert (unknown.status, seen.status) == ("unknown", "ok")
    assert "was not repeated" in unknown.text
    assert seen.text.startswith("kept\nfile\n")

    assert list(site.boxes("second").glob("*")) == []
    left = {each.name for each in site.boxes("first").glob("*")}
    assert len(left) == 2
    assert set(await site.clean("first")) == left
    assert processes(site.boxes("first")) == []
    assert list(site.boxes("first").glob("*")) == []


@pytest.mark.slow
async def test_a_team_goes_on_when_the_machine_of_its_workspace_is_lost(site: Site) -> None:
    """Its members fail, and begin again where it has opened the workspace with the files."""
    first = await site.worker("first", "act")
    await site.worker("brains", "agent,think")

    async def lose(request: ChatRequest) -> None:
        if "do part" in request.task and request.place == 1 and first.returncode is None:
            first.kill()
            await first.wait()
            await site.worker("second", "act")

    site.model.on_request = lose
    chief, worker = (
        MemberGroup(agent=AgentSpec(name=name, tools=("execute_shell",)))
        for name in ("chief", "worker")
    )
    team = TeamSpec(name="crew", lead=chief, members=(worker,), shared_workspace=True)
    result = await site.client.execute_workflow(
        TeamWorkflow.run,
        TeamRequest(goal="Share", team=team, model="scripted"),
        id=f"team-{uuid4().hex}",
        task_queue=TASK_QUEUE,
    )
    assert (result.status, result.answer) == ("completed", "shared"), result
    (owner,) = {row.run.id for row in await site.store.runs(None, tops=True)}
    assert await files_of(site.store, owner) == {"file": "lead\nbefore\nafter\n"}
    assert list(site.boxes("second").glob("*")) == []
    assert await site.clean("first") == [owner]
