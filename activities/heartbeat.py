"""Heartbeats for as long as an effect takes, so that a dead worker is noticed within seconds."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from temporalio import activity

SECONDS_BETWEEN = 1.0


@contextmanager
def heartbeating(news: Callable[[], Any] = lambda: None) -> Iterator[None]:
    """Heartbeat until the block ends, each time with the `news` there are.

    An effect shorter than the interval costs nothing.
    """
    pulse = _Pulse(news)
    try:
        yield
    finally:
        pulse.stop()


class _Pulse:
    """A timer, which is cheaper than a task for effects that last milliseconds."""

    def __init__(self, news: Callable[[], Any]) -> None:
        self._news = news
        self._loop = asyncio.get_running_loop()
        self._wait()

    def stop(self) -> None:
        self._timer.cancel()

    def _wait(self) -> None:
        self._timer = self._loop.call_later(SECONDS_BETWEEN, self._beat)

    def _beat(self) -> None:
        news = self._news()
        if news is None:
            activity.heartbeat()
        else:
            activity.heartbeat(news)
        self._wait()
