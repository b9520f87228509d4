"""What tests of tools that run commands stand on: a sandbox on this machine, of each kind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.sandbox.boxes import Boxes
from tests.tools.commands.bench import Bench


@pytest_asyncio.fixture(params=["bwrap", "none"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """A sandbox with an empty workspace; the test runs once in bubblewrap and once without."""
    boxes = Boxes(tmp_path, request.param)
    if problem := await boxes.host.problem():
        pytest.skip(problem)
    yield Bench(await boxes.open(), boxes.root / "box" / "workspace")
    await boxes.close()
