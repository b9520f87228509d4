"""The effects that workflows ask for: each activity with its queue, time-outs and retries."""

import asyncio
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.act import Act
    from activities.runs import Runs
    from activities.sandboxing import Sandboxing
    from activities.teams import TeamRuns
    from activities.think import Think
    from perdure.contracts import (
        ACT_QUEUE,
        THINK_QUEUE,
        ActInput,
        CloseRun,
        CloseSandbox,
        Decision,
        Observation,
        OpenRun,
        OpenSandbox,
        Place,
        RunPlan,
        ThinkInput,
    )
    from perdure.teams.contracts import OpenTeam, Roll, RollCall, TeamPlan
    from workflows.interruption import is_cancelled, settled

T = TypeVar("T")

HEARTBEAT_TIMEOUT = timedelta(seconds=5)
"""A lost worker is noticed after this; activities heartbeat every second."""
LONGEST_EFFECT = timedelta(minutes=30)
LAST_WORDS = timedelta(minutes=2)
"""How long the closing think of a run may take."""
BOOKKEEPING = timedelta(minutes=1)
MACHINE_PATIENCE = timedelta(minutes=1)
"""A machine whose workers do not begin an effect within this counts as lost."""
RETRY = RetryPolicy(maximum_interval=timedelta(minutes=1))
"""For ever, at least once a minute: what cannot succeed is raised as not retryable."""


async def open_run(opening: OpenRun) -> RunPlan:
    handle = workflow.start_activity_method(
        Runs.open_run,
        opening,
        start_to_close_timeout=BOOKKEEPING,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=RETRY,
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary="open the run",
    )
    return await _outcome(handle)


async def open_sandbox(opening: OpenSandbox, time_left: timedelta | None) -> Place:
    return await workflow.execute_activity_method(
        Sandboxing.open_sandbox,
        opening,
        task_queue=ACT_QUEUE,
        start_to_close_timeout=LONGEST_EFFECT,
        schedule_to_close_timeout=time_left,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=RETRY,
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary="open the sandbox",
    )


async def close_sandbox(closing: CloseSandbox) -> None:
    await workflow.execute_activity_method(
        Sandboxing.close_sandbox,
        closing,
        task_queue=closing.place.queue,
        schedule_to_start_timeout=MACHINE_PATIENCE,
        schedule_to_close_timeout=BOOKKEEPING,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=RETRY,
        summary="close the sandbox",
    )


async def think(request: ThinkInput, step: int, time_left: timedelta | None) -> Decision:
    handle = workflow.start_activity_method(
        Think.think,
        request,
        task_queue=THINK_QUEUE,
        start_to_close_timeout=LONGEST_EFFECT,
        schedule_to_close_timeout=LAST_WORDS if request.closing else time_left,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=RETRY,
        # What a model was asked for is paid for, and counts.
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary="think: last words" if request.closing else f"think: step {step}",
    )
    return await _outcome(handle)


async def act(request: ActInput, summary: str, time_left: timedelta | None) -> Observation:
    handle = workflow.start_activity_method(
        Act.act,
        request,
        task_queue=request.place.queue,
        schedule_to_start_timeout=MACHINE_PATIENCE,
        start_to_close_timeout=LONGEST_EFFECT,
        schedule_to_close_timeout=time_left,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=RETRY,
        # A run is cancelled when its tools have stopped, not when they were asked to.
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=f"act {summary}",
    )
    await _ended(handle)
    return handle.result()


async def open_team(opening: OpenTeam) -> TeamPlan:
    handle = workflow.start_activity_method(
        TeamRuns.open_team,
        opening,
        start_to_close_timeout=BOOKKEEPING,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=RETRY,
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary="open the team",
    )
    return await _outcome(handle)


async def call_roll(call: RollCall) -> Roll:
    return await workflow.execute_activity_method(
        TeamRuns.call_roll,
        call,
        start_to_close_timeout=BOOKKEEPING,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=RETRY,
        summary=f"call the roll: {len(call.workflow_ids)}",
    )


async def close_run(closing: CloseRun) -> None:
    await workflow.execute_activity_method(
        Runs.close_run,
        closing,
        start_to_close_timeout=BOOKKEEPING,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=RETRY,
        summary=f"close the run: {closing.result.status}",
    )


async def _outcome(handle: workflow.ActivityHandle[T]) -> T:
    """Of an effect that counts once it is done; one that fails after a cancel is cancelled."""
    await _ended(handle)
    try:
        return handle.result()
    except ActivityError as error:
        if is_cancelled():
            raise asyncio.CancelledError from error
        raise


async def _ended(handle: workflow.ActivityHandle[Any]) -> None:
    """Wait for its end; cancelled with the workflow, it is asked to stop, and ends first."""
    if not await settled(handle):
        handle.cancel()
        await workflow.wait([handle])
