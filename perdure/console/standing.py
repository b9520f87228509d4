"""How recorded runs stand now: what the store says, corrected by Temporal where it can be asked."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

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
from perdure.contracts import RunState, RunStatus, Usage
from perdure.errors import ServerError
from perdure.hosting.home import Home
from perdure.settings import Settings
from perdure.store.reader import is_made, reading
from perdure.store.store import RunSummary
from perdure.store.tables import Run

_PATIENCE = timedelta(seconds=2)

SUSPENDED = "suspended"
"""Open, but nothing runs it now: the next command of its home goes on with it."""
LOST = "lost"
"""Open in the store, and unknown to the Temporal server."""


class Standing(BaseModel):
    """One line of the list of runs."""

    model_config = ConfigDict(frozen=True)

    id: str
    status: str
    agent: str
    model: str
    steps: int
    usage: Usage
    task: str
    head: str | None
    started: datetime
    ended: datetime | None


async def listing(settings: Settings, limit: int | None) -> list[Standing]:
    """The newest runs, newest first."""
    if not is_made(settings):
        return []
    async with reading(settings) as store:
        summaries = await store.runs(limit)
    client = await reachable(settings)
    return await asyncio.gather(*(_stand(summary, client) for summary in summaries))


async def _stand(summary: RunSummary, client: Client | None) -> Standing:
    run = summary.run
    return Standing(
        id=run.workflow_id,
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
        return await _asked(handle) or noted
    except RPCError as error:
        return LOST if error.status == RPCStatusCode.NOT_FOUND else SUSPENDED


async def _asked(handle: WorkflowHandle[Any, Any]) -> str | None:
    try:
        state: RunState = await handle.query("status", result_type=RunState, rpc_timeout=_PATIENCE)
    except (RPCError, WorkflowQueryFailedError):
        return None
    return state.status
