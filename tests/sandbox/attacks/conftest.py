"""Two sandboxes to attack, one in Docker and one of bubblewrap, each with very little of all."""

from collections.abc import AsyncIterator
from pathlib import Path
from shutil import which

import pytest
import pytest_asyncio

from tests.sandbox.attacks.canary import SECRET, Canary
from tests.sandbox.attacks.probe import KINDS
from tests.sandbox.attacks.target import SPEC, Target
from tests.sandbox.boxes import Boxes
from tests.sandbox.docker_trial import Trial


@pytest_asyncio.fixture(scope="session", params=KINDS)
async def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Target]:
    """A sandbox for all attacks of the session, opened by a worker that has a secret."""
    folder = tmp_path_factory.mktemp(f"attacked-{request.param}")
    with Canary(folder) as canary, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", SECRET)
        targets = _in_docker if request.param == "docker" else _in_bubblewrap
        async for target in targets(request, folder, canary):
            patch.undo()
            yield target


async def _in_docker(
    request: pytest.FixtureRequest, folder: Path, canary: Canary
) -> AsyncIterator[Target]:
    async with Trial(request.getfixturevalue("docker_image")) as trial:
        name = trial.name()
        target = Target(lambda: trial.open(name, SPEC), "/perdure", canary)
        await target.open()
        yield target


async def _in_bubblewrap(
    request: pytest.FixtureRequest, folder: Path, canary: Canary
) -> AsyncIterator[Target]:
    if which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    boxes = Boxes(folder / "boxes", "bwrap")
    target = Target(
        lambda: boxes.open(**SPEC.model_dump(exclude={"kind"})),
        str(boxes.root / "box" / "state"),
        canary,
    )
    await target.open()
    yield target
    await boxes.close()


@pytest_asyncio.fixture
async def target(opened: Target) -> AsyncIterator[Target]:
    """The sandbox; after every attack it works, and the host has noticed nothing."""
    yield opened
    await opened.prove_unharmed()
