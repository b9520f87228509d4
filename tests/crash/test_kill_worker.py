"""A worker that is killed with -9 at every boundary of a run."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from perdure.hosting.server import EmbeddedServer
from tests.crash.trial import Trial, in_namespace, running_server
from tests.crash.verdict import Verdict, judge

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
    "after_result_append",
]
UNSTORED = {"reply", "before_turn"}
"""Here a reply is lost between the model and the store: it has to be asked for again."""


async def _run(
    server: EmbeddedServer, home: Path, name: str, crashes: Sequence[str]
) -> tuple[Verdict, int]:
    client = await in_namespace(server.address, name)
    async with Trial(client, home / name, crashes, steps=STEPS) as trial:
        await trial.start()
        result = await trial.result()
        return await judge(trial, result), trial.kills


async def _run_all(
    home: Path, trials: Mapping[str, Sequence[str]]
) -> dict[str, tuple[Verdict, int]]:
    """A run for each name, killed at its boundaries; what became of it, and how many kills."""
    async with running_server(home) as server, asyncio.TaskGroup() as group:
        runs = {
            name: group.create_task(_run(server, home, name, crashes))
            for name, crashes in trials.items()
        }
        await asyncio.wait(runs.values())
    return {name: run.result() for name, run in runs.items()}


async def test_a_killed_worker_costs_nothing(tmp_path: Path) -> None:
    """A kill before a turn is stored, in an unsafe tool, and after a result is stored."""
    trials = {
        "unstored": ["before_turn:2"],
        "lost": ["in_append:4"],
        "stored": ["after_result_append:6"],
    }
    found = await _run_all(tmp_path, trials)
    assert [kills for _, kills in found.values()] == [1, 1, 1]
    assert [verdict.paid_twice for verdict, _ in found.values()] == [1, 0, 0]
    lost, _ = found["lost"]
    assert (lost.unknown, lost.lines) == (1, STEPS)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_every_boundary_of_every_step(tmp_path: Path) -> None:
    """At each boundary a run is killed once in each of its steps, and ends as if it had not."""
    trials = {
        boundary: [f"{boundary}:{step}" for step in range(1, STEPS + 1)] for boundary in BOUNDARIES
    }
    for boundary, (verdict, kills) in (await _run_all(tmp_path, trials)).items():
        print(boundary, verdict)  # noqa: T201 - the matrix, for whoever asks with -s
        assert (kills, verdict.steps) == (STEPS, STEPS), boundary
        assert verdict.paid_twice == (STEPS if boundary in UNSTORED else 0), boundary
        if boundary == "in_append":  # the line is written, and nobody can know
            assert (verdict.unknown, verdict.lines) == (STEPS, STEPS)


@pytest.mark.slow
async def test_the_beginning_and_the_end_of_a_run(tmp_path: Path) -> None:
    """A kill before or after the run is recorded, at its opening and at its close."""
    crashes = ["before_open:1", "after_open:1", "before_close:1", "after_close:1"]
    verdict, kills = (await _run_all(tmp_path, {"ends": crashes}))["ends"]
    assert (kills, verdict.paid_twice, verdict.unknown) == (4, 0, 0)
