"""A worker that is killed with -9 at every boundary of a run."""

import asyncio
from pathlib import Path

import pytest
from trial import Trial, in_namespace, running_server
from verdict import Verdict, judge

STEPS = 8
BOUNDARIES = [
    "request",  # the model has the request, and has not replied
    "reply",  # the reply is sent, and not stored
    "before_turn",  # the reply is here, and its turn is not committed
    "after_turn",  # the turn is committed, and Temporal does not know
    "in_look",
    "in_put",
    "in_append",
    "before_result_put",
    "before_result_append",
    "after_result_append",
]
UNSTORED = {"reply", "before_turn"}
"""Here a reply is lost between the model and the store: it has to be asked for again."""
OUTCOME_LOST = {"in_append", "before_result_append"}
"""Here an unsafe effect took place, and its result was not recorded."""


async def _run(address: str, home: Path, crashes: list[str], name: str) -> tuple[Verdict, int]:
    client = await in_namespace(address, name)
    async with Trial(client, home / name, crashes, steps=STEPS) as trial:
        await trial.start()
        result = await trial.result()
        return await judge(trial, result), trial.kills


async def test_a_killed_worker_costs_nothing(tmp_path: Path) -> None:
    """A kill before a turn is stored, in an unsafe tool, and after a result is stored."""
    crashes = ["before_turn:2", "in_append:4", "after_result_append:6"]
    async with running_server(tmp_path) as server:
        async with asyncio.TaskGroup() as group:
            runs = [
                group.create_task(_run(server.address, tmp_path, [crash], crash.split(":")[0]))
                for crash in crashes
            ]
    unstored, lost, stored = [run.result() for run in runs]
    assert [kills for _, kills in (unstored, lost, stored)] == [1, 1, 1]
    assert [verdict.paid_twice for verdict, _ in (unstored, lost, stored)] == [1, 0, 0]
    assert lost[0].unknown == 1
    assert lost[0].lines == STEPS


@pytest.mark.slow
async def test_every_boundary_of_every_step(tmp_path: Path) -> None:
    """At each boundary a run is killed once in each of its steps, and ends as if it had not."""
    async with running_server(tmp_path) as server:
        async with asyncio.TaskGroup() as group:
            runs = {
                boundary: group.create_task(
                    _run(
                        server.address,
                        tmp_path,
                        [f"{boundary}:{step}" for step in range(1, STEPS + 1)],
                        boundary,
                    )
                )
                for boundary in BOUNDARIES
            }
    for boundary, run in runs.items():
        verdict, kills = run.result()
        assert (kills, verdict.steps) == (STEPS, STEPS), boundary
        assert verdict.paid_twice == (STEPS if boundary in UNSTORED else 0), boundary
        if boundary in OUTCOME_LOST:
            assert (verdict.unknown, verdict.lines) == (STEPS, STEPS), boundary


@pytest.mark.slow
async def test_the_beginning_and_the_end_of_a_run(tmp_path: Path) -> None:
    """A kill before or after the run is recorded, at its opening and at its close."""
    crashes = ["before_open:1", "after_open:1", "before_close:1", "after_close:1"]
    async with running_server(tmp_path) as server:
        verdict, kills = await _run(server.address, tmp_path, crashes, "ends")
    assert (kills, verdict.paid_twice, verdict.unknown) == (4, 0, 0)
