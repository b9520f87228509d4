"""Heartbeats for as long as an effect takes, so that a dead worker is noticed within seconds."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from temporalio import activity

SECONDS_BETWEEN = 1.0


@contextmanager
def heartbeating() -> Iterator[None]:
    """Heartbeat until the block ends; an effect shorter than the interval costs nothing."""
    pulse = _Pulse()
    try:
        yield
    finally:
        pulse.stop()


class _Pulse:
    """A timer, which is cheaper than a task for effects that last milliseconds."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wait()

    def stop(self) -> None:
        self._timer.cancel()

    def _wait(self) -> None:
        self._timer = self._loop.call_later(SECONDS_BETWEEN, self._beat)

    def _beat(self) -> None:
        activity.heartbeat()
        self._wait()
