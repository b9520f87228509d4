"""Fixtures for pytest: put `pytest_plugins = ["perdure.testing.fixtures"]` in `conftest.py`."""

from collections.abc import AsyncIterator

import pytest_asyncio

from perdure.testing.scripted_model import ScriptedModel


@pytest_asyncio.fixture
async def scripted_model() -> AsyncIterator[ScriptedModel]:
    """A running model server: give it its script by `scripted_model.follow([...])`."""
    async with ScriptedModel() as model:
        yield model
