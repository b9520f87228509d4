"""How a run's sandbox is opened and closed, on the machine that has it."""

import asyncio
from typing import TYPE_CHECKING

from temporalio import activity

from activities.cancellation import is_asked_for
from activities.failure import final
from activities.heartbeat import heartbeating
from perdure.contracts import CloseSandbox, OpenSandbox, Place
from perdure.errors import PerdureError

if TYPE_CHECKING:  # workflows import this module for its names, and must load no SDK by it
    from perdure.sandbox.sandboxes import Sandboxes


class Sandboxing:
    """Hosts the activities `open_sandbox` and `close_sandbox`."""

    def __init__(self, sandboxes: "Sandboxes") -> None:
        self._sandboxes = sandboxes

    @activity.defn
    async def open_sandbox(self, request: OpenSandbox) -> Place:
        """Give the run a place on this machine, with its files; a retry finds it open."""
        with heartbeating():
            try:
                return await self._sandboxes.open(request)
            except asyncio.CancelledError:
                # Otherwise another attempt opens it, or the run is at work in it already.
                if is_asked_for():
                    await self._sandboxes.discard(request)
                raise
            except PerdureError as error:
                raise final(error) from None

    @activity.defn
    async def close_sandbox(self, request: CloseSandbox) -> None:
        """Record the last state of the files, and remove everything that the run had here."""
        with heartbeating():
            await self._sandboxes.close(request)
