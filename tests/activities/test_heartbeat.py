"""Heartbeats for as long as an effect takes."""

import asyncio

import pytest
from temporalio.testing import ActivityEnvironment

from activities.heartbeat import heartbeating


async def test_a_long_effect_beats_until_it_ends() -> None:
    """The first beat comes within seconds, and none after the end."""
    beats = asyncio.Queue[tuple[object, ...]]()
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: beats.put_nowait(details)

    async def effect() -> None:
        with heartbeating():
            await beats.get()

    await asyncio.wait_for(environment.run(effect), 5)
    assert beats.empty()


async def test_an_effect_that_is_cancelled_hears_of_it() -> None:
    """Cancellation passes through, and the beating stops with it."""
    environment = ActivityEnvironment()
    began = asyncio.Event()

    async def effect() -> None:
        with heartbeating():
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(environment.run(effect))
    await began.wait()
    environment.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
