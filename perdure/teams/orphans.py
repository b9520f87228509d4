"""Members whose team was terminated: nobody waits for what they do any more."""

import logging

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from perdure.attributes import TEAM_ID
from perdure.connection import describe

_OPEN_MEMBERS = (
    "WorkflowType = 'AgentWorkflow' AND ExecutionStatus = 'Running' AND TeamId IS NOT NULL"
)

logger = logging.getLogger(__name__)


async def cancel_orphans(client: Client) -> list[str]:
    """Cancel the open runs of teams that are over, and give their ids."""
    cancelled: list[str] = []
    known: dict[str, bool] = {}
    async for run in client.list_workflows(_OPEN_MEMBERS):
        team = run.typed_search_attributes.get(TEAM_ID)
        if team is None:
            continue
        if team not in known:
            known[team] = await _is_over(client, team)
        if known[team] and await _cancel(client, run.id):
            logger.warning("Cancelled %s: its team is over", run.id)
            cancelled.append(run.id)
    return cancelled


async def _cancel(client: Client, workflow_id: str) -> bool:
    """Whether it was there to be cancelled: what is listed is some moments old."""
    try:
        await client.get_workflow_handle(workflow_id).cancel()
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True


async def _is_over(client: Client, team: str) -> bool:
    found = await describe(client, team)
    return found is None or found.status is not WorkflowExecutionStatus.RUNNING
