"""Calling the roll: what the store and a real Temporal server say of runs together."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from perdure import attributes
from perdure.contracts import BEGINNING_CHARACTERS, AgentResult, RunStatus, Spent, Usage
from perdure.hosting.server import binary
from perdure.store.store import Store
from perdure.store.tables import Run, now
from perdure.teams.contracts import Present, RollCall
from perdure.teams.roll import RollCaller
from tests.model.turns import make_turn

QUEUE = "roll"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@workflow.defn
class Staying:
    """Stands as it is told, until it is told to go."""

    def __init__(self) -> None:
        self._gone = False

    @workflow.run
    async def run(self, standing: str) -> None:
        workflow.upsert_search_attributes([attributes.AGENT_STATUS.value_set(standing)])
        await workflow.wait_condition(lambda: self._gone)

    @workflow.update
    def go(self) -> None:
        self._gone = True

    @workflow.query
    def stands(self) -> bool:
        return True


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[Client]:
    environment = await WorkflowEnvironment.start_local(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=str(binary()),
        search_attributes=attributes.ALL,
    )
    async with (
        environment,
        Worker(
            environment.client,
            task_queue=QUEUE,
            workflows=[Staying],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ),
    ):
        yield environment.client


class Muster:
    """Runs in the store and in Temporal, and the roll of them."""

    def __init__(self, store: Store, client: Client) -> None:
        self.store = store
        self._client = client
        self._caller = RollCaller(store, client, began=BEGAN)

    async def start(self, standing: str = "running") -> WorkflowHandle[Any, None]:
        """A workflow that says that it stands so."""
        id = f"team-{uuid4().hex}"
        started = await self._client.start_workflow(Staying.run, standing, id=id, task_queue=QUEUE)
        await started.query(Staying.stands)  # its first task is done
        return started

    async def record(self, workflow_id: str, parent: str | None = None, hours: float = 1) -> None:
        """The run of that workflow, begun so long ago, with one turn as old."""
        at = now() - timedelta(hours=hours)
        own = {"id": f"run of {workflow_id}", "workflow_id": workflow_id, "parent": parent}
        given: dict[str, Any] = {"agent": "a", "model": "m", "spec": {}, "task": "t"}
        run = Run(created_at=at, **(given | own))
        turn = make_turn(
            f"turn of {workflow_id}", run_id=run.id, created_at=at, input_tokens=7, cost_usd=0.5
        )
        await self.store.add(run, turn)

    async def end(self, workflow_id: str) -> AgentResult:
        result = AgentResult(
            status=RunStatus.COMPLETED,
            answer="x" * 1000,
            output={"long": "x" * 1000},
            head="h",
            steps=9,
            usage=Usage(input_tokens=90),
        )
        await self.store.end_run(f"run of {workflow_id}", result)
        return result

    async def call(self, workflow_id: str) -> Present:
        (present,) = (await self._caller.call(RollCall(workflow_ids=(workflow_id,)))).present
        assert present.workflow_id == workflow_id
        return present


@pytest.fixture
def muster(store: Store, client: Client) -> Muster:
    return Muster(store, client)


async def test_a_run_at_work_is_not_over(muster: Muster) -> None:
    """What it spent is that of its turns, and its silence began with the last of them."""
    started = await muster.start()
    await muster.record(started.id)
    seen = await muster.call(started.id)
    assert (seen.run, seen.is_over, seen.result) == (f"run of {started.id}", False, None)
    assert seen.spent == Spent(steps=1, usage=Usage(input_tokens=7, output_tokens=1, cost_usd=0.5))
    assert 3600 <= seen.silent_seconds < 3700


async def test_a_run_that_has_ended_brings_the_beginning_of_its_result(muster: Muster) -> None:
    """With all that it spent, the runs below it included, as its result says."""
    started = await muster.start()
    await muster.record(started.id)
    result = await muster.end(started.id)
    await started.execute_update(Staying.go)
    await started.result()
    seen = await muster.call(started.id)
    assert seen.is_over
    assert seen.result == result.model_copy(
        update={"answer": "x" * BEGINNING_CHARACTERS, "output": None}
    )
    assert seen.spent == Spent(steps=9, usage=Usage(input_tokens=90))


async def test_a_run_is_not_over_before_temporal_says_so(muster: Muster) -> None:
    """It may still be leaving its sandbox behind."""
    started = await muster.start()
    await muster.record(started.id)
    await muster.end(started.id)
    seen = await muster.call(started.id)
    assert (seen.is_over, seen.result, seen.spent.steps) == (False, None, 9)


async def test_a_run_that_was_terminated_has_failed(muster: Muster) -> None:
    """Its head and what it spent, with all below it, are what its turns say."""
    started = await muster.start()
    await muster.record(started.id)
    await muster.record(f"{started.id}.1", parent=started.id)
    await started.terminate()
    seen = await muster.call(started.id)
    assert seen.is_over
    assert seen.result == AgentResult(
        status=RunStatus.FAILED,
        answer="",
        reason="Its run was terminated.",
        head=f"turn of {started.id}",
        steps=2,
        usage=Usage(input_tokens=14, output_tokens=2, cost_usd=1.0),
    )
    assert seen.spent.steps == 2


async def test_a_run_that_was_cancelled_without_a_word_is_cancelled(muster: Muster) -> None:
    """Its workflow came to no end of its own."""
    started = await muster.start()
    await muster.record(started.id)
    await started.cancel()
    with pytest.raises(WorkflowFailureError):
        await started.result()
    result = (await muster.call(started.id)).result
    assert result is not None
    assert (result.status, result.reason) == (RunStatus.CANCELLED, "Its run was cancelled.")


async def test_a_run_that_temporal_does_not_know_is_over(muster: Muster) -> None:
    """As after the time for which the server keeps what has ended."""
    await muster.record("team-gone")
    seen = await muster.call("team-gone")
    assert seen.is_over
    assert seen.result is not None
    assert (seen.result.status, seen.result.steps) == (RunStatus.FAILED, 1)
    assert seen.result.reason == "Temporal does not know its run any more."


async def test_a_run_that_was_not_opened_is_not_silent(muster: Muster) -> None:
    """It has no worker yet; or it has ended before it was opened."""
    started = await muster.start()
    seen = await muster.call(started.id)
    assert (seen.run, seen.is_over, seen.spent, seen.silent_seconds) == (None, False, Spent(), 0)
    await started.terminate()
    seen = await muster.call(started.id)
    assert (seen.run, seen.is_over, seen.result is not None) == (None, True, True)


@pytest.mark.parametrize("standing", ["waiting", "paused"])
async def test_a_run_that_waits_is_silent_by_right(muster: Muster, standing: str) -> None:
    """So is one that waits for a run below it that does."""
    resting, busy = await muster.start(standing), await muster.start()
    await muster.record(busy.id)
    await muster.record(resting.id, parent=busy.id)
    assert (await muster.call(resting.id)).silent_seconds == 0
    assert (await muster.call(busy.id)).silent_seconds == 0
    await resting.terminate()
    assert (await muster.call(busy.id)).silent_seconds > 3000


async def test_what_a_run_below_records_breaks_the_silence(muster: Muster) -> None:
    """The one that it delegated to is at work."""
    started = await muster.start()
    await muster.record(started.id, hours=3)
    await muster.record(f"{started.id}.1", parent=started.id, hours=2)
    await muster.record(f"{started.id}.1.1", parent=f"{started.id}.1", hours=1)
    assert 3600 <= (await muster.call(started.id)).silent_seconds < 3700


async def test_silence_from_before_the_worker_began_does_not_count(
    muster: Muster, store: Store, client: Client
) -> None:
    """After a night in which nothing ran, no run hangs."""
    started = await muster.start()
    await muster.record(started.id, hours=10)
    roll = await RollCaller(store, client).call(RollCall(workflow_ids=(started.id,)))
    assert roll.present[0].silent_seconds < 60


async def test_the_roll_is_in_the_order_of_its_call(muster: Muster, client: Client) -> None:
    """However many they are."""
    started = [await muster.start() for _ in range(3)]
    ids = (*(each.id for each in started), *(f"team-none-{n}" for n in range(100)))
    roll = await RollCaller(muster.store, client).call(RollCall(workflow_ids=ids))
    assert tuple(each.workflow_id for each in roll.present) == ids
    assert [each.is_over for each in roll.present] == [False] * 3 + [True] * 100


async def test_what_temporal_does_not_answer_is_an_error(muster: Muster) -> None:
    """Nothing is known of the run then, least of all that it is over."""
    with pytest.raises(RPCError):
        await muster.call("")
