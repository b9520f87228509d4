"""How a team begins in the store, and how its members' runs stand."""

from typing import TYPE_CHECKING

from temporalio import activity

from activities.failure import final
from activities.heartbeat import heartbeating
from perdure.errors import PerdureError
from perdure.teams.contracts import OpenTeam, Roll, RollCall, TeamPlan

if TYPE_CHECKING:  # workflows import this module for its names, and must load no SDK by it
    from perdure.teams.opening import TeamOpening
    from perdure.teams.roll import RollCaller


class TeamRuns:
    """Hosts the activities `open_team` and `call_roll`."""

    def __init__(self, opening: "TeamOpening", caller: "RollCaller") -> None:
        self._opening = opening
        self._caller = caller

    @activity.defn
    async def open_team(self, request: OpenTeam) -> TeamPlan:
        """Settle who is in the team, and record it; a retry finds it recorded."""
        with heartbeating():
            try:
                return await self._opening.open(request)
            except PerdureError as error:
                raise final(error) from None

    @activity.defn
    async def call_roll(self, call: RollCall) -> Roll:
        """Say how the runs stand, by the store and by Temporal."""
        with heartbeating():
            return await self._caller.call(call)
