"""Tool calls whose worker, shim, container or engine is lost in the middle: once, or unknown."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio

from perdure.sandbox.host import Host
from tests.crash.sandbox_run import StoredRun, stored_run
from tests.crash.sandbox_trial import MOMENTS, KillTrial

FEW = [moment for moment in dict.fromkeys(MOMENTS) if moment[0] != "worker"]


@pytest_asyncio.fixture(params=["docker", "bwrap"])
async def run(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StoredRun]:
    """A run with a sandbox; the test runs once in Docker and once in bubblewrap."""
    image = None
    if request.param == "docker":
        image = request.getfixturevalue("docker_image")
    elif problem := await Host(tmp_path, "bwrap").problem():
        pytest.skip(problem)
    async with stored_run(tmp_path, request.param, image) as run:
        yield run


async def test_a_killed_worker_repeats_nothing(run: StoredRun) -> None:
    """A kill at each kind of moment."""
    verdict = await KillTrial(run, 20, "once").carry_out(FEW)
    print(verdict)  # noqa: T201
    assert verdict.kills >= len(FEW) - 2


async def test_plain_commands_are_repeated(run: StoredRun) -> None:
    verdict = await KillTrial(run, 20, "plain").carry_out(FEW)
    print(verdict)  # noqa: T201
