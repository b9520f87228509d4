"""Where tools work: found when it is first needed, and again when its machine is lost."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutType
from temporalio.exceptions import TimeoutError as TimedOut

with workflow.unsafe.imports_passed_through():
    from perdure.contracts import AgentRequest, CloseSandbox, OpenSandbox, Place, RunPlan
    from workflows import effects
    from workflows.interruption import arrivals

_MOVED = "Moved"
"""The type of the failure of a call in a place that a later one has replaced."""


class Lodging:
    """A run's or a team's own place, which it opens, and closes when it ends."""

    owner: str | None = None
    """The run whose files the place holds, where it is another one."""

    def __init__(
        self, run: str, executes: bool, source: str | None, place: Place | None = None
    ) -> None:
        """`place`: where it has been before the workflow continued as new."""
        self._run = run
        self._executes = executes
        self._source = source
        self.at = place
        """Where it is, once it is open."""
        self._left: Place | None = None
        self._opening: asyncio.Task[None] | None = None

    @property
    def is_opening(self) -> bool:
        return self._opening is not None and not self._opening.done()

    def prepare(self, time_left: timedelta | None) -> None:
        """Begin to open the sandbox, so that it is there when the first think has ended."""
        if self._opening is None and self.at is None:
            self._opening = asyncio.create_task(self._open(time_left))

    async def place(self, time_left: timedelta | None) -> Place:
        """Where to send the next call; calls that ask at once open one sandbox."""
        self.prepare(time_left)
        if (opening := self._opening) is not None:
            # Not awaited itself: one that is cancelled and opens all the same would hide it.
            await workflow.wait([opening])
            opening.result()
            self._opening = None
        assert self.at is not None
        return self.at

    def leave(self, place: Place) -> None:
        """Have the next call find another place: nobody serves this one."""
        if self.at == place:
            self.at, self._left = None, place

    async def give_up(self) -> None:
        """Open it no more, if it is being opened; it may be open all the same."""
        if (opening := self._opening) is not None:
            await arrivals()
            opening.cancel()
            await workflow.wait([opening])

    async def close(self, head: str | None) -> None:
        """Leave nothing behind; what cannot be reached is left to its machine's reaper."""
        await self.give_up()
        if self.at is None:
            return
        try:
            await effects.close_sandbox(CloseSandbox(run=self._run, place=self.at, head=head))
        except ActivityError as error:
            workflow.logger.warning("The sandbox is left to its machine: %s", error.cause)

    async def _open(self, time_left: timedelta | None) -> None:
        self.at = await effects.open_sandbox(self._wanted(), time_left)

    def _wanted(self) -> OpenSandbox:
        return OpenSandbox(
            run=self._run,
            workflow_id=workflow.info().workflow_id,
            executes=self._executes,
            source=self._source,
            earlier=self._left,
        )


class Guest:
    """The place of a run that works in its team's: the team opens it, closes it, and moves it."""

    def __init__(self, owner: str, place: Place) -> None:
        self.owner: str | None = owner
        self.at: Place | None = None
        """Nothing to carry: the run's seat says where it is."""
        self.is_opening = False
        self._place = place

    def prepare(self, time_left: timedelta | None) -> None:
        """It is open."""

    async def place(self, time_left: timedelta | None) -> Place:
        return self._place

    def leave(self, place: Place) -> None:
        """End the run, which the team begins again where the workspace is then.

        Raises:
            ApplicationError: always.
        """
        raise ApplicationError(lost(place), type="CommonsLost")

    async def close(self, head: str | None) -> None:
        """It stays for the others."""


def lodge(request: AgentRequest, plan: RunPlan) -> Lodging | Guest:
    """In the team's place, if it has one for all."""
    seat = request.origin.seat if request.origin else None
    if seat is not None and seat.commons is not None and seat.place is not None:
        return Guest(seat.commons, seat.place)
    place = request.progress.place if request.progress else None
    return Lodging(plan.run, plan.executes, request.workspace, place)


def lost(place: Place) -> str:
    """Why a guest of that place fails: its team is to open another, if it has not done so yet."""
    return f"The shared workspace's machine is lost ({place.name} on {place.queue})."


def nobody_serves(error: ActivityError) -> bool:
    """Whether no worker of the machine took the effect up, or the place there is out of date."""
    cause = error.cause
    if isinstance(cause, TimedOut):
        return cause.type is TimeoutType.SCHEDULE_TO_START
    return isinstance(cause, ApplicationError) and cause.type == _MOVED
