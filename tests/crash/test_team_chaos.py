"""Teams whose workers and whose server are killed with -9 at any time."""

import asyncio
import os
import random
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from perdure.connection import connect
from perdure.hosting.server import EmbeddedServer
from perdure.teams.contracts import Supervision
from tests.crash.team_plan import large_plan, small_plan
from tests.crash.team_trial import ShortHistories, TeamTrial
from tests.crash.team_verdict import Verdict, judge
from tests.crash.trial import in_namespace, running_server

JOBS = 60
KILLS = 12
"""Of a worker."""
SERVER_KILLS = 4
"""Of these together with the server's."""
SILENCE_MINUTES = 0.25
BOUNDARIES = {
    "open_team": ["before_open_team:1", "after_open_team:1"],
    "child": ["before_child:1", "after_child:1"],
    "ask": ["before_ask:1", "in_ask:2", "after_ask:3"],
    "deliver": ["before_deliver:1", "in_deliver:2", "after_deliver:3"],
    "report": ["before_report:1", "in_report:1", "after_report:1"],
    "close": ["before_close_team:1", "after_close_team:1"],
}


async def _run(
    server: EmbeddedServer, home: Path, name: str, crashes: Sequence[str]
) -> tuple[Verdict, int]:
    client = await in_namespace(server.address, name)
    async with TeamTrial(client, home / name, small_plan(), crashes) as trial:
        await trial.start()
        return await judge(trial, await trial.result()), trial.kills


async def test_a_killed_worker_costs_a_team_nothing(tmp_path: Path) -> None:
    """A kill before a turn is stored and one in an unsafe effect: all is there, and only once."""
    async with running_server(tmp_path) as server:
        verdict, kills = await _run(server, tmp_path, "team", ["before_turn:2", "in_write:1"])
    assert (kills, verdict.ended["failed"], verdict.untold > 0) == (2, 1, True)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_every_boundary_of_a_team(tmp_path: Path) -> None:
    """Before, in and after all that a team and its members do together: nothing is lost."""
    async with running_server(tmp_path) as server, asyncio.TaskGroup() as group:
        runs = {
            name: group.create_task(_run(server, tmp_path, name, crashes))
            for name, crashes in BOUNDARIES.items()
        }
        await asyncio.wait(runs.values())
    for name, run in runs.items():
        verdict, kills = run.result()
        print(name, verdict)  # noqa: T201 - the matrix, for whoever asks with -s
        assert kills == len(BOUNDARIES[name]), name


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_team_in_chaos(tmp_path: Path) -> None:
    """Ten members, sixty tasks, kills of everything, and members that fail, hang and overspend."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - what a failure is repeated with
    moment = random.Random(seed)
    supervision = Supervision(max_restarts=8, silence_minutes=SILENCE_MINUTES)
    async with running_server(tmp_path, ShortHistories) as server:
        plan, client = large_plan(moment, JOBS), await connect(server.address)
        home = tmp_path / "team"
        async with TeamTrial(client, home, plan, workers=2, supervision=supervision) as trial:
            await trial.start()
            await _kill_at_random(trial, server, moment)
            verdict = await judge(trial, await trial.result())
            assert trial.kills == KILLS
    print(verdict)  # noqa: T201 - what the team went through
    assert verdict.ended.keys() >= {"completed", "failed", "out_of_steps", "cancelled"}
    assert verdict.is_continued
    assert verdict.out


async def _kill_at_random(trial: TeamTrial, server: EmbeddedServer, moment: random.Random) -> None:
    """Kill a worker now and then, and sometimes the server together with it."""
    with_server = set(moment.sample(range(KILLS), k=SERVER_KILLS))
    for kill in range(KILLS):
        await asyncio.sleep(moment.uniform(0, 8))
        await moment.choice(trial.workers).kill()
        if kill in with_server:
            os.kill(server.pid, signal.SIGKILL)
            await server.died()
            await server.launch()
