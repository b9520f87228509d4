"""How a run begins and ends in the store."""

from typing import TYPE_CHECKING

from temporalio import activity

from activities.failure import final
from activities.heartbeat import heartbeating
from perdure.contracts import CloseRun, OpenRun, RunPlan
from perdure.errors import PerdureError

if TYPE_CHECKING:  # workflows import this module for its names, and must load no SDK by it
    from perdure.opening import Opening
    from perdure.store.store import Store


class Runs:
    """Hosts the activities `open_run` and `close_run`."""

    def __init__(self, opening: "Opening", store: "Store") -> None:
        self._opening = opening
        self._store = store

    @activity.defn
    async def open_run(self, request: OpenRun) -> RunPlan:
        """Settle agent, model and limits, and record the run; a retry finds it recorded."""
        with heartbeating():
            try:
                return await self._opening.open(request)
            except PerdureError as error:
                raise final(error) from None

    @activity.defn
    async def close_run(self, request: CloseRun) -> None:
        """Record how the run ended."""
        with heartbeating():
            await self._store.end_run(request.run, request.result)
