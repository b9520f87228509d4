"""What has interrupted a workflow: somebody who cancelled it, or the worker that forgets it."""

import asyncio

from temporalio import workflow


def is_cancelled() -> bool:
    """Whether somebody has cancelled the workflow."""
    return workflow.cancellation_reason() is not None


def is_evicted(error: BaseException) -> bool:
    """Whether the run leaves the worker's cache, to be replayed later: nothing can be done here."""
    return isinstance(error, asyncio.CancelledError) and not is_cancelled()
