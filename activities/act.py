"""One tool call: carried out, and its result recorded."""

import asyncio
from typing import TYPE_CHECKING

from temporalio import activity

from activities.cancellation import is_asked_for
from activities.failure import final
from activities.heartbeat import heartbeating
from activities.once import Once
from perdure.contracts import ActInput, Observation
from perdure.sandbox.sandbox import Moved

if TYPE_CHECKING:  # workflows import this module for its names, and must load no SDK by it
    from perdure.tools.runner import Runner


class Act:
    """Hosts the activity `act`."""

    def __init__(self, runner: "Runner") -> None:
        self._runner = runner
        self._once: Once[Observation] = Once()

    @activity.defn
    async def act(self, request: ActInput) -> Observation:
        """Record the result of `request.key`, or find it stored by an earlier attempt."""
        with heartbeating(lambda: self._runner.printed(request)):
            try:
                return await self._once.run(request.key, lambda: self._find_or_act(request))
            except asyncio.CancelledError:
                if is_asked_for():
                    await self._runner.stop(request)
                raise
            except Moved as error:
                raise final(error) from None

    async def _find_or_act(self, request: ActInput) -> Observation:
        return await self._runner.recall(request) or await self._runner.act(request)
