"""What has interrupted a workflow: somebody who cancelled it, or the worker that forgets it."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow

_TURNS = 3
"""Of the event loop: two until an effect's outcome has come to its task, one for a task around."""

_A_MOMENT = timedelta(milliseconds=1)


def is_cancelled() -> bool:
    """Whether somebody has cancelled the workflow."""
    return workflow.cancellation_reason() is not None


def is_evicted(error: BaseException) -> bool:
    """Whether the run leaves the worker's cache, to be replayed later: nothing can be done here."""
    return isinstance(error, asyncio.CancelledError) and not is_cancelled()


async def calm() -> None:
    """Wait for a workflow task that would tell of a cancel before it lets the workflow go on.

    Of a workflow task's news the SDK takes in the signals first: a workflow that they wake, and
    that continues as new, would never know of a cancel that came with them.
    """
    await workflow.sleep(_A_MOMENT, summary="before continuing as new")


async def arrivals() -> None:
    """Let what came in one workflow task with a cancel reach those that wait for it."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def settled(work: asyncio.Task[Any]) -> bool:
    """Wait for its end; False if the workflow is cancelled first. The cancel does not reach it.

    What ended in the workflow task that brought the cancel has ended: it is done, and counts.
    """
    try:
        await workflow.wait([work])
    except asyncio.CancelledError as error:
        if is_evicted(error):
            raise
        await arrivals()
    return work.done()
