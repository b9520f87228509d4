"""Workers killed with -9 in the middle of commands that count: each takes effect once.

Its measure is the control, where the same kills meet commands that are run in the plain way.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from perdure.sandbox.host.backend import Host
from tests.crash.sandbox_run import StoredRun, stored_run
from tests.crash.sandbox_trial import EACH, RUNNING, KillTrial, Verdict

FEW = (*EACH, RUNNING)
MANY = (*EACH, *[RUNNING] * 9) * 5
LEAST_KILLS, LEAST_WHILE_RUNNING = 60, 30


@pytest_asyncio.fixture(params=[pytest.param("docker", marks=pytest.mark.slow), "bwrap"])
async def run(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StoredRun]:
    """A run with a sandbox; the test runs once in Docker and once in bubblewrap."""
    image = None
    if request.param == "docker":
        image = request.getfixturevalue("docker_image")
    elif problem := await Host(tmp_path, "bwrap").problem():
        pytest.skip(problem)
    async with stored_run(tmp_path, request.param, image) as run:
        yield run


def judge(verdict: Verdict, calls: int) -> None:
    """Every command took effect once, and every result is what it printed."""
    assert verdict.lines == dict.fromkeys(range(1, calls + 1), 1)
    assert (verdict.statuses, verdict.wrong) == ({"ok": calls}, [])


async def test_a_killed_worker_repeats_nothing_and_loses_nothing(run: StoredRun) -> None:
    """A kill at each boundary of a call, and a moment after it."""
    verdict = await KillTrial(run, 20, "once").carry_out(FEW)
    judge(verdict, 20)
    assert verdict.kills >= len(FEW) - 2
    assert set(await run.recorded()) == {"counters", *(f"counters/{n}" for n in range(1, 21))}


@pytest.mark.slow
async def test_plain_commands_are_repeated(run: StoredRun) -> None:
    """The control: a plain `docker exec` and a plain child process, under the same kills."""
    verdict = await KillTrial(run, 20, "plain").carry_out(FEW)
    assert verdict.repeated >= 1
    assert verdict.wrong


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_two_hundred_commands_under_random_kills(run: StoredRun) -> None:
    """At least sixty kills, half of them while a command runs; each step's files are recorded."""
    verdict = await KillTrial(run, 200, "once").carry_out(MANY)
    print(verdict, f"repeated {verdict.repeated}")  # noqa: T201 - for whoever asks with -s
    judge(verdict, 200)
    assert verdict.kills >= LEAST_KILLS
    assert verdict.while_running >= LEAST_WHILE_RUNNING
    for step in range(10, 201, 10):
        assert len(await run.recorded(step)) == 1 + step


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_plain_commands_under_random_kills(run: StoredRun) -> None:
    """The control: most of those that are killed while they run take effect twice."""
    verdict = await KillTrial(run, 100, "plain").carry_out(MANY)
    print(verdict, f"repeated {verdict.repeated}")  # noqa: T201 - for whoever asks with -s
    assert verdict.repeated >= LEAST_WHILE_RUNNING // 2
    assert len(verdict.wrong) >= LEAST_WHILE_RUNNING // 2
