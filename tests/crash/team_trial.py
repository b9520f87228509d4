"""A team whose workers are killed and come back, with a model in a process of its own."""

import asyncio
import os
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle

from perdure.contracts import TASK_QUEUE, AgentResult
from perdure.hosting import leash
from perdure.hosting.server import EmbeddedServer
from perdure.teams.contracts import Supervision, TeamRequest, TeamState
from tests.crash.keeper import ROOT, Keeper
from tests.crash.team_plan import GOAL, Plan
from tests.crash.trial import patiently
from workflows.team import TeamWorkflow

_PRICES = "[models.scripted]\ninput_usd = 3.1\noutput_usd = 14.7\n"


class ShortHistories(EmbeddedServer):
    """Has workflows continue as new after a few steps."""

    def _command(self) -> tuple[str, ...]:
        few = "limit.historyCount.suggestContinueAsNew=300"
        return (*super()._command(), "--dynamic-config-value", few)


class TeamTrial:
    """Carries out a plan; `crashes` are boundaries such as `before_ask:1`."""

    def __init__(
        self,
        client: Client,
        home: Path,
        plan: Plan,
        crashes: Iterable[str] = (),
        *,
        workers: int = 1,
        supervision: Supervision | None = None,
    ) -> None:
        self.client = client
        self.home = home
        self.plan = plan.model_copy(update={"effects": str(home / "effects")})
        self.id = f"team-{uuid4().hex[:8]}"
        self.workers: list[Keeper] = []
        self._count = workers
        self._crashes = " ".join(crashes)
        self.supervision = supervision or Supervision()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "models.toml").write_text(_PRICES)
        own = {
            "TEMPORAL_ADDRESS": self.client.service_client.config.target_host,
            "TEMPORAL_NAMESPACE": self.client.namespace,
            "PERDURE_HOME": str(self.home),
            "OPENAI_BASE_URL": await self._start_model(),
            "CRASHES": self._crashes,
            "TOOL_SECONDS": "0.02",
        }
        for number in range(self._count):
            keeper = Keeper(self.home / f"worker-{number}.log", own)
            self.workers.append(await self._stack.enter_async_context(keeper))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start_model(self) -> str:
        file = self.home / "plan.json"
        file.write_text(self.plan.model_dump_json())
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-ISs", leash.__file__, str(os.getpid())),
            *(sys.executable, "-m", "tests.crash.team_model", str(file)),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None and process.stdout is not None
        self._stack.push_async_callback(process.wait)
        self._stack.callback(process.stdin.close)  # which ends it
        return (await process.stdout.readline()).decode().strip()

    async def start(self) -> None:
        team = self.plan.team(self.supervision)
        request = TeamRequest(goal=GOAL, team=team, model="scripted")
        await self.client.start_workflow(
            TeamWorkflow.run, request, id=self.id, task_queue=TASK_QUEUE
        )

    @property
    def handle(self) -> WorkflowHandle[TeamWorkflow, AgentResult]:
        return self.client.get_workflow_handle_for(TeamWorkflow.run, self.id)

    @property
    def kills(self) -> int:
        return sum(worker.kills for worker in self.workers)

    async def result(self) -> AgentResult:
        """The team's result; fails when a worker ends otherwise than by a kill."""
        asking = asyncio.create_task(patiently(self.handle.result))
        failures = [worker.failure for worker in self.workers]
        await asyncio.wait({asking, *failures}, return_when=asyncio.FIRST_COMPLETED)
        for failure in failures:
            if failure.done():
                asking.cancel()
                failure.result()
        return await asking

    async def state(self) -> TeamState:
        return await patiently(lambda: self.handle.query(TeamWorkflow.status))
