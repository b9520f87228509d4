"""One effect a key: a second attempt joins the first where that one is still at work.

An attempt that the server has given up on, as after an outage of its own, is not dead: its model
call is paid for and its tool is running. What it brings is stored under the key, and found.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from activities.cancellation import is_given_up

Result = TypeVar("Result")

SECONDS_LONGEST = 25 * 60.0
"""Less than the activity's own time-out, so that no attempt joins an effect that hangs."""
SECONDS_UNCLAIMED = 30.0
"""How long an effect that the server gave up on goes on, for its next attempt to join."""


class Once(Generic[Result]):
    """The effects that are under way in this process."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Result]] = {}
        self._attempts: dict[str, int] = {}

    async def run(self, key: str, effect: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """The result of the effect that `key` names, begun now or by an earlier attempt."""
        task = self._running.get(key) or self._begin(key, effect)
        self._attempts[key] = self._attempts.get(key, 0) + 1
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if is_given_up():
                loop = asyncio.get_running_loop()
                loop.call_later(SECONDS_UNCLAIMED, self._end_unclaimed, key, task)
            else:
                task.cancel()
                await asyncio.wait([task])
            raise
        finally:
            self._attempts[key] -= 1
            if not self._attempts[key]:
                del self._attempts[key]

    def _begin(
        self, key: str, effect: Callable[[], Coroutine[Any, Any, Result]]
    ) -> asyncio.Task[Result]:
        task = self._running[key] = asyncio.create_task(_bounded(effect))
        task.add_done_callback(lambda _: self._forget(key, task))
        return task

    def _forget(self, key: str, task: asyncio.Task[Result]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # heard by the attempts; without any there is nobody to tell

    def _end_unclaimed(self, key: str, task: asyncio.Task[Result]) -> None:
        if key not in self._attempts:
            task.cancel()


async def _bounded(effect: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    async with asyncio.timeout(SECONDS_LONGEST):
        return await effect()
