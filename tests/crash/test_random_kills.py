"""A worker that is killed with -9 at random moments, while messages arrive."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.crash.trial import Trial, in_namespace, running_server
from tests.crash.verdict import Verdict, judge

RUNS = 5
KILLS = 6


async def _kill_at_random(trial: Trial, moment: random.Random) -> None:
    """Kill the worker while it starts or waits, or while it works; each kill in another place."""
    for _ in range(KILLS):
        if moment.random() < 1 / 4:
            await asyncio.sleep(moment.uniform(0, 3))
        else:
            await trial.next_request()
            await asyncio.sleep(moment.uniform(0, 1))
        await trial.kill_worker()


async def _run(address: str, home: Path, number: int, seed: int) -> Verdict:
    moment = random.Random(seed * RUNS + number)
    client = await in_namespace(address, f"run-{number}")
    async with Trial(client, home / f"run-{number}", steps=100_000) as trial:
        trial.reply_seconds, trial.tool_seconds = 0.03, 0.03
        await trial.start()
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(trial.tell_at_random(moment, over))
            await _kill_at_random(trial, moment)
            over.set()
        sent = telling.result()
        await trial.next_request()  # every kill may have come before the first one
        trial.steps = trial.model.requests[-1].place + 3
        verdict = await judge(trial, await trial.result())
        assert trial.kills == KILLS
        assert verdict.messages == sent
    return verdict


@pytest.mark.slow
async def test_kills_at_random_moments(tmp_path: Path) -> None:
    """Thirty kills over five runs: right answers, no silent repeats, each message seen once."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - what a failure is repeated with
    async with running_server(tmp_path) as server, asyncio.TaskGroup() as group:
        runs = [
            group.create_task(_run(server.address, tmp_path, number, seed))
            for number in range(RUNS)
        ]
        await asyncio.wait(runs)
    verdicts = [run.result() for run in runs]
    for verdict in verdicts:
        print(verdict)  # noqa: T201 - how often a kill struck between two commits
    assert sum(verdict.paid_twice for verdict in verdicts) <= RUNS * KILLS
