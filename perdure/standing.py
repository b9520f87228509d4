"""How recorded runs stand now: what the store says, corrected by Temporal where it can be asked."""

import asyncio
from collections.abc import Sequence

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from perdure.attributes import AGENT_STATUS
from perdure.connection import connect, is_configured
from perdure.contracts import RunStatus
from perdure.errors import ServerError
from perdure.home import Home
from perdure.settings import Settings
from perdure.store.tables import Run

SUSPENDED = "suspended"
"""Open, but nothing runs it now: the next command of its home goes on with it."""
LOST = "lost"
"""Open in the store, and unknown to the Temporal server."""


async def reachable(settings: Settings) -> Client | None:
    """A client of the server that answers now; nothing is started for it."""
    try:
        if is_configured():
            return await connect()
        host = Home(settings.home).host()
        return await connect(host.address) if host else None
    except ServerError:
        return None


async def standings(runs: Sequence[Run], client: Client | None) -> list[str]:
    """The status of each run."""
    return await asyncio.gather(*(_standing(run, client) for run in runs))


async def _standing(run: Run, client: Client | None) -> str:
    if run.result is not None:
        return str(run.result["status"])
    if client is None:
        return SUSPENDED
    try:
        found = await client.get_workflow_handle(run.workflow_id).describe()
    except RPCError as error:
        return LOST if error.status == RPCStatusCode.NOT_FOUND else SUSPENDED
    if found.status == WorkflowExecutionStatus.RUNNING:
        return found.typed_search_attributes.get(AGENT_STATUS) or RunStatus.RUNNING
    return found.status.name.lower() if found.status else RunStatus.RUNNING
