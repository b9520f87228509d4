"""Small teams, and what their tests look at."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle

from perdure.contracts import TASK_QUEUE, AgentResult, AgentSpec
from perdure.teams.contracts import MemberGroup, TeamRequest, TeamSpec, TeamState, TeamTask
from perdure.testing.replies import Completion, call
from perdure.testing.script import ChatRequest
from tests.workflows.conftest import Application
from workflows.team import TeamWorkflow

Handle = WorkflowHandle[TeamWorkflow, AgentResult]


def group(name: str = "worker", count: int = 1, **fields: Any) -> MemberGroup:
    return MemberGroup(agent=AgentSpec(name=name), count=count, **fields)


def spec(**fields: Any) -> TeamSpec:
    """A lead and two workers."""
    known = {"name": "crew", "lead": group("chief"), "members": (group(count=2),)}
    return TeamSpec.model_validate(known | fields)


async def start(
    app: Application,
    team: TeamSpec | None = None,
    goal: str = "the goal",
    id: str | None = None,
    **fields: Any,
) -> Handle:
    wanted = {"goal": goal, "team": team or spec(), "model": "scripted"}
    return await app.client.start_workflow(
        TeamWorkflow.run,
        TeamRequest.model_validate(wanted | fields),
        id=id or f"team-{uuid4().hex[:8]}",
        task_queue=TASK_QUEUE,
    )


async def run(
    app: Application, team: TeamSpec | None = None, goal: str = "the goal", **fields: Any
) -> tuple[AgentResult, TeamState]:
    """How the team ended, and how it stood then."""
    handle = await start(app, team, goal, **fields)
    result = await asyncio.wait_for(handle.result(), 60)
    return result, await state(handle)


async def state(handle: Handle) -> TeamState:
    return await handle.query(TeamWorkflow.status)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


def task(id: str, *needs: str, to: str = "worker") -> dict[str, Any]:
    return {"id": id, "task": f"do {id}", "to": to, "depends_on": list(needs)}


def assign(*tasks: dict[str, Any] | str) -> Completion:
    return call("assign", tasks=[task(each) if isinstance(each, str) else each for each in tasks])


def wait() -> Completion:
    return call("wait_for_tasks")


def asked(app: Application, task: str) -> list[ChatRequest]:
    """What the model was asked about the task, in order."""
    return [each for each in app.model.requests if task in each.task]


def places(app: Application, task: str) -> list[int]:
    return [each.place for each in asked(app, task)]


def text(request: ChatRequest) -> str:
    """All that the model was shown."""
    return "\n".join(str(each.get("content") or "") for each in request.messages)


def ended(state: TeamState) -> dict[str, str]:
    """How each task ended."""
    return {each.id: str(each.status) for each in state.tasks}


def ledger(state: TeamState, id: str) -> TeamTask:
    return next(each for each in state.tasks if each.id == id)
