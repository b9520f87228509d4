"""The reaper: removes the sandboxes of runs that have ended, and ends runs whose team has."""

import asyncio
import logging
import time
from collections.abc import Callable

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from perdure.connection import describe
from perdure.sandbox.found import Found
from perdure.sandbox.sandbox import SandboxError, SandboxLost
from perdure.sandbox.sandboxes import Sandboxes
from perdure.teams.orphans import cancel_orphans

SECONDS_BEFORE = 5.0
"""Runs that go on come first."""
SECONDS_BETWEEN = 60.0

logger = logging.getLogger(__name__)


async def keep_reaping(client: Client, sandboxes: Sandboxes) -> None:
    """Look for orphans for as long as this machine has a worker."""
    await asyncio.sleep(SECONDS_BEFORE)
    while True:
        try:
            for found in await reap(client, sandboxes, is_due):
                logger.warning("Removed the %s sandbox %s: its run is over", found.kind, found.name)
            await cancel_orphans(client)
        except (RPCError, SandboxError, SandboxLost, OSError) as error:
            logger.warning("Orphans were not looked for: %s", error)
        await asyncio.sleep(SECONDS_BETWEEN)


def is_due(found: Found) -> bool:
    return time.time() >= found.deadline


async def reap(
    client: Client, sandboxes: Sandboxes, is_looked_at: Callable[[Found], bool]
) -> list[Found]:
    """Remove every sandbox whose run Temporal does not know, or knows to have ended."""
    removed = []
    for found in filter(is_looked_at, await sandboxes.found()):
        if found.cluster != sandboxes.cluster:
            continue  # this server would not know its run, however much alive that is
        if await _is_over(client, found):
            try:
                await sandboxes.remove(found)
            except (SandboxError, SandboxLost, OSError) as error:  # the others are not to wait
                logger.warning("The %s sandbox %s stays: %s", found.kind, found.name, error)
            else:
                removed.append(found)
    return removed


async def _is_over(client: Client, found: Found) -> bool:
    run = await describe(client, found.workflow_id)
    if run is None:
        return True
    first = run.raw_description.workflow_execution_info.first_run_id
    # A run of the same workflow id that was started later is another one.
    return run.status is not WorkflowExecutionStatus.RUNNING or first != found.run
