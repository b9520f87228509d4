"""One model call: from the run's head to the next turn."""

from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.failure import final
from activities.heartbeat import heartbeating
from activities.once import Once
from perdure.contracts import Decision, ThinkInput
from perdure.errors import BrokenReply, ModelBusy, PerdureError

if TYPE_CHECKING:  # workflows import this module for its names, and must load no SDK by it
    from perdure.model.thinker import Thinker


BROKEN_REPLIES = 10
"""So many replies in a row that nobody can read end the run: each may have been charged for."""


class Think:
    """Hosts the activity `think`."""

    def __init__(self, thinker: "Thinker") -> None:
        self._thinker = thinker
        self._once: Once[Decision] = Once()

    @activity.defn
    async def think(self, request: ThinkInput) -> Decision:
        """Append the turn of `request.key`, or find it stored by an earlier attempt."""
        with heartbeating():
            try:
                return await self._once.run(request.key, lambda: self._find_or_ask(request))
            except BrokenReply as error:
                if activity.info().attempt >= BROKEN_REPLIES:
                    raise final(error) from None
                raise _again(error) from None
            except ModelBusy as error:
                raise _again(error) from None
            except PerdureError as error:
                raise final(error) from None

    async def _find_or_ask(self, request: ThinkInput) -> Decision:
        return await self._thinker.recall(request) or await self._thinker.think(request)


def _again(error: ModelBusy) -> ApplicationError:
    """Has Temporal try again, when the endpoint says, or by the retry policy."""
    return ApplicationError(
        str(error),
        type=type(error).__name__,
        next_retry_delay=timedelta(seconds=error.retry_after) if error.retry_after else None,
        category=ApplicationErrorCategory.BENIGN,
    )
