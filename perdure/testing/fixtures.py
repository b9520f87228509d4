"""Fixtures for pytest: put `pytest_plugins = ["perdure.testing.fixtures"]` in `conftest.py`.

Needs pytest and pytest-asyncio, which the wheel does not bring along.
"""

from collections.abc import AsyncIterator

import pytest_asyncio

from perdure.testing.scripted_model import ScriptedModel


@pytest_asyncio.fixture
async def scripted_model() -> AsyncIterator[ScriptedModel]:
    """A running model server: give it its script by `scripted_model.follow([...])`."""
    async with ScriptedModel() as model:
        yield model
