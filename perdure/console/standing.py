"""How recorded runs stand now: what the store says, corrected by Temporal where it can be asked."""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError, RPCStatusCode

from perdure.attributes import AGENT_STATUS
from perdure.connection import connect, is_configured
from perdure.contracts import RunState, RunStatus, Spent, Usage
from perdure.errors import ServerError
from perdure.hosting.home import Home
from perdure.settings import Settings
from perdure.store.family import Family
from perdure.store.reader import is_made, reading
from perdure.store.store import RunSummary, Store
from perdure.store.tables import Run
from perdure.teams.contracts import TeamState

State = TypeVar("State", bound=RunState)

PATIENCE = timedelta(seconds=2)

_AT_ONCE = 20
"""So many runs are asked about at once."""

SUSPENDED = "suspended"
"""Open, but nothing runs it now: the next command of its home goes on with it."""
LOST = "lost"
"""Open in the store, and unknown to the Temporal server."""
CUT_SHORT = ("terminated", "timed_out")
"""Ended by Temporal, without a word of its own."""


class Standing(BaseModel):
    """One line of the list of runs."""

    model_config = ConfigDict(frozen=True)

    id: str
    parent: str | None
    """The id of the run or team that started it."""
    member: str | None
    """Whose run it is in its team."""
    task_id: str | None
    """In its team's ledger."""
    status: str
    agent: str
    model: str
    steps: int
    usage: Usage
    task: str
    head: str | None
    started: datetime
    ended: datetime | None

    @property
    def spent(self) -> Spent:
        return Spent(steps=self.steps, usage=self.usage)


async def listing(
    settings: Settings, limit: int, status: str | None, *, everything: bool
) -> list[Standing]:
    """The newest runs, newest first, with what they and those below them spent.

    Of all runs, if `everything`, else of those that somebody outside has started.
    """
    if not is_made(settings):
        return []
    client = await reachable(settings)
    async with reading(settings) as store:
        newest = await store.runs(limit if status is None else None, tops=not everything)
        runs = await standings(newest, client)
        wanted = [run for run in runs if status in {None, run.status}][:limit]
        return await asyncio.gather(*(_with_those_below(run, store) for run in wanted))


async def _with_those_below(run: Standing, store: Store) -> Standing:
    spent = sum((spent_by(each) for each in await Family(store).of(run.id)), run.spent)
    return run.model_copy(update={"steps": spent.steps, "usage": spent.usage})


def spent_by(summary: RunSummary) -> Spent:
    return Spent(steps=summary.steps, usage=summary.usage)


async def standings(summaries: Iterable[RunSummary], client: Client | None) -> list[Standing]:
    """Each with what it spent itself."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def stand(summary: RunSummary) -> Standing:
        async with room:
            return await _stand(summary, client)

    return await asyncio.gather(*map(stand, summaries))


async def _stand(summary: RunSummary, client: Client | None) -> Standing:
    run = summary.run
    return Standing(
        id=run.workflow_id,
        parent=run.parent,
        member=run.member,
        task_id=run.task_id,
        status=await status_of(run, client),
        agent=run.agent,
        model=run.model,
        steps=summary.steps,
        usage=summary.usage,
        task=run.task,
        head=summary.head,
        started=run.created_at,
        ended=run.ended_at,
    )


async def reachable(settings: Settings) -> Client | None:
    """A client of the server that answers now; nothing is started for it."""
    try:
        if is_configured():
            return await connect()
        host = Home(settings.home).host()
        return await connect(host.address) if host else None
    except ServerError:
        return None


async def status_of(run: Run, client: Client | None) -> str:
    if run.result is not None:
        return str(run.result["status"])
    if client is None:
        return SUSPENDED
    handle = client.get_workflow_handle(run.workflow_id)
    try:
        found = await handle.describe()
        if found.status != WorkflowExecutionStatus.RUNNING:
            return found.status.name.lower() if found.status else LOST
        # The run itself knows best; without a worker, what it last noted has to do.
        noted = found.typed_search_attributes.get(AGENT_STATUS) or RunStatus.RUNNING
    except RPCError as error:
        return LOST if error.status == RPCStatusCode.NOT_FOUND else SUSPENDED
    state = await _asked(handle, RunState)
    return state.status if state else noted


def is_team(run: Run) -> bool:
    """Whether the run is a team's: what it ran is then a `TeamSpec`."""
    return "lead" in run.spec


async def team_state(
    client: Client | None, team_id: str, patience: timedelta = PATIENCE
) -> TeamState | None:
    """What the team says of itself; None where it cannot be asked."""
    if client is None:
        return None
    return await _asked(client.get_workflow_handle(team_id), TeamState, patience)


async def _asked(
    handle: WorkflowHandle[Any, Any], kind: type[State], patience: timedelta = PATIENCE
) -> State | None:
    try:
        return cast("State", await handle.query("status", result_type=kind, rpc_timeout=patience))
    except (RPCError, WorkflowQueryFailedError):
        return None
