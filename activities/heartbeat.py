"""Heartbeats for as long as an effect takes, so that a dead worker is noticed within seconds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import activity

SECONDS_BETWEEN = 1.0


@asynccontextmanager
async def heartbeating() -> AsyncIterator[None]:
    """Heartbeat until the block ends; an effect shorter than the interval costs nothing."""
    beating = asyncio.create_task(_beat())
    try:
        yield
    finally:
        beating.cancel()


async def _beat() -> None:
    while True:
        await asyncio.sleep(SECONDS_BETWEEN)
        activity.heartbeat()
