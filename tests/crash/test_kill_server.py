"""A Temporal server that is killed with -9 in the middle of a run, and comes back."""

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from perdure.connection import connect
from perdure.hosting.server import EmbeddedServer
from tests.crash.trial import Trial, running_server
from tests.crash.verdict import judge

KILLS = 5


async def _kill(server: EmbeddedServer) -> None:
    os.kill(server.pid, signal.SIGKILL)
    await server.died()
    await server.launch()


@pytest.mark.slow
async def test_a_killed_server_costs_nothing(tmp_path: Path) -> None:
    """Five kills at random moments: nothing is doubled, and each message is seen once."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - what a failure is repeated with
    moment = random.Random(seed)
    async with running_server(tmp_path) as server:
        client = await connect(server.address)
        async with Trial(client, tmp_path / "run", steps=100_000) as trial:
            trial.reply_seconds, trial.tool_seconds = 0.02, 0.02
            await trial.start()
            over = asyncio.Event()
            telling = asyncio.create_task(trial.tell_at_random(moment, over))
            for _ in range(KILLS):
                await trial.next_request()
                await asyncio.sleep(moment.uniform(0, 0.5))
                await _kill(server)
            over.set()
            sent = await telling
            trial.steps = trial.model.requests[-1].place + 3
            verdict = await judge(trial, await trial.result())
            assert trial.kills == 0
            assert verdict.messages == sent
    print(verdict)  # noqa: T201 - how often a kill struck between two commits
    assert verdict.paid_twice <= KILLS
