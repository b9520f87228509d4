"""What tests of sandboxes stand on: sandboxes in Docker that are removed."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.sandbox.docker_trial import Trial


@pytest_asyncio.fixture
async def docker_trial(docker_image: str) -> AsyncIterator[Trial]:
    """Sandboxes in Docker, removed after the test."""
    async with Trial(docker_image) as trial:
        yield trial
