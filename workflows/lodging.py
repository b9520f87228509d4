"""Where a run's tools work: found when it is first needed, and again when its machine is lost."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, TimeoutType
from temporalio.exceptions import TimeoutError as TimedOut

with workflow.unsafe.imports_passed_through():
    from perdure.contracts import CloseSandbox, OpenSandbox, Place
    from workflows import effects
    from workflows.journal import Journal


class Lodging:
    """The place of one run, which its journal remembers."""

    def __init__(self, journal: Journal, source: str | None) -> None:
        self._journal = journal
        self._source = source
        self._left: Place | None = None
        self._opening: asyncio.Task[Place] | None = None

    def prepare(self, time_left: timedelta | None) -> None:
        """Begin to open the sandbox, so that it is there when the first think has ended."""
        if self._opening is None and self._journal.place is None:
            opening = effects.open_sandbox(self._wanted(), time_left)
            self._opening = asyncio.create_task(opening)

    async def place(self, time_left: timedelta | None) -> Place:
        """Where to send the next call; calls that ask at once open one sandbox."""
        self.prepare(time_left)
        if self._opening is not None:
            self._journal.place = await self._opening
            self._opening = None
        assert self._journal.place is not None
        return self._journal.place

    def leave(self, place: Place) -> None:
        """Have the next call find another place: nobody serves this one."""
        if self._journal.place == place:
            self._journal.place, self._left = None, place

    async def close(self) -> None:
        """Leave nothing behind; what cannot be reached is left to its machine's reaper."""
        if self._opening is not None:
            self._opening.cancel()
            await workflow.wait([self._opening])
            if not self._opening.cancelled() and self._opening.exception() is None:
                self._journal.place = self._opening.result()
        if self._journal.place is None:
            return
        closing = CloseSandbox(
            run=self._journal.plan.run, place=self._journal.place, head=self._journal.head
        )
        try:
            await effects.close_sandbox(closing)
        except ActivityError as error:
            workflow.logger.warning("The sandbox is left to its machine: %s", error.cause)

    def _wanted(self) -> OpenSandbox:
        return OpenSandbox(
            run=self._journal.plan.run,
            workflow_id=workflow.info().workflow_id,
            executes=self._journal.plan.executes,
            source=self._source,
            earlier=self._left,
        )


def nobody_serves(error: ActivityError) -> bool:
    """Whether no worker of the machine took the effect up."""
    cause = error.cause
    return isinstance(cause, TimedOut) and cause.type is TimeoutType.SCHEDULE_TO_START
