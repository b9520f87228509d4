"""One model call: from the run's head to the next turn."""

from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.failure import final
from activities.heartbeat import heartbeating
from activities.once import Once
from perdure.contracts import Decision, ThinkInput
from perdure.errors import ModelBusy, PerdureError

if TYPE_CHECKING:  # workflows import this module for its names, and must load no SDK by it
    from perdure.model.thinker import Thinker


class Think:
    """Hosts the activity `think`."""

    def __init__(self, thinker: "Thinker") -> None:
        self._thinker = thinker
        self._once: Once[Decision] = Once()

    @activity.defn
    async def think(self, request: ThinkInput) -> Decision:
        """Append the turn of `request.key`, or find it stored by an earlier attempt."""
        if recalled := await self._thinker.recall(request):
            return recalled
        with heartbeating():
            try:
                return await self._once.run(request.key, lambda: self._thinker.think(request))
            except ModelBusy as error:
                delay = timedelta(seconds=error.retry_after) if error.retry_after else None
                raise ApplicationError(
                    str(error),
                    type="ModelBusy",
                    next_retry_delay=delay,
                    category=ApplicationErrorCategory.BENIGN,
                ) from None
            except PerdureError as error:
                raise final(error) from None
