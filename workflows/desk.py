"""A member's side of its team: what it asks, what it is answered, and how it reports its end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from perdure.contracts import (
        FINISH,
        HAND_OVER,
        AgentResult,
        Ask,
        Call,
        Delivery,
        Entry,
        Origin,
        Parcel,
        Report,
        Seat,
    )
    from workflows.interruption import is_cancelled, settled
    from workflows.journal import Journal
    from workflows.mailbox import Inbox
    from workflows.outcome import Outcome


PATIENCE = timedelta(minutes=10)
"""So long a member waits for its team before it looks whether there is one."""


class TeamGone(Exception):
    """The member's team has ended without it: nobody waits for its result."""


class Desk:
    """Signals go by name: `workflows.team` imports the workflow that has this desk."""

    def __init__(self, origin: Origin, seat: Seat, journal: Journal) -> None:
        self._team = workflow.get_external_workflow_handle(origin.parent)
        self._seat = seat
        self._journal = journal
        self._inbox = Inbox(journal.received)
        self._awaited = 0
        """The number of the ask that waits for its reply."""
        self._reply: Parcel | None = None
        self._asking = asyncio.Lock()

    def take(self, delivery: Delivery) -> tuple[Parcel, ...]:
        """The parcels that are new, without the reply that is waited for."""
        parcels = self._inbox.take(delivery)
        for parcel in parcels:
            if parcel.kind == "reply" and parcel.ask == self._awaited:
                self._reply = parcel
        # A reply that came too late to be the call's result is told like a message.
        return tuple(parcel for parcel in parcels if parcel is not self._reply)

    @property
    def received(self) -> int:
        return self._inbox.received

    async def ask(
        self, call: Call, is_woken: Callable[[], bool], time: timedelta | None
    ) -> Outcome:
        """Have the team carry out the call; unanswered when a message comes first, or the time."""
        async with self._asking:  # one at a time: the team answers them in the order of the calls
            reply = await self._answer(call, is_woken, time)
        if reply is not None:
            return Outcome.replied(call, reply)
        why = "A message came first." if is_woken() else "That was not so within the time."
        text = f"{why} What is waited for is told when it happens; call {call.tool} to wait again."
        return Outcome.said(call, text, is_ok=True, digest=workflow.now().isoformat())

    async def refusal(self) -> str | None:
        """Why the lead cannot end yet; None where it can. Others may always."""
        if not self._seat.is_lead:
            return None
        async with self._asking:
            finish = Call(id="", tool=FINISH, summary=FINISH)
            reply = await self._answer(finish, lambda: False, None)
        return None if reply is None or reply.is_ok else reply.text

    async def last_news(self) -> list[Entry]:
        """Have the lead's team end first, so that what there is can be handed over."""
        if not self._seat.is_lead:
            return []
        async with self._asking:
            ending = Call(id="", tool=HAND_OVER, summary=HAND_OVER)
            news = await self._answer(ending, lambda: False, None)
        return [Entry(kind="notice", text=news.text, quotes=news.quotes)] if news else []

    async def _answer(
        self, call: Call, is_woken: Callable[[], bool], time: timedelta | None
    ) -> Parcel | None:
        self._journal.asked += 1
        ask = Ask(
            member=self._seat.member,
            run=workflow.info().workflow_id,
            execution=workflow.info().run_id,
            number=self._journal.asked,
            tool=call.tool,
            turn=self._journal.head or "",
            call=call.id,
            arguments=call.arguments or {},
            read=self._journal.read,
            spent=self._journal.spent,
        )
        self._awaited, self._reply = ask.number, None
        end = None if time is None else workflow.now() + time
        while True:
            # Sent again now and then, which a team that is there ignores: one may be terminated.
            await self._send(ask)
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._reply is not None or is_woken(),
                    timeout=PATIENCE if end is None else min(PATIENCE, end - workflow.now()),
                    timeout_summary=f"{call.tool}: the team's answer",
                )
            is_late = end is not None and workflow.now() >= end
            if self._reply is not None or is_woken() or is_late:
                break
        self._awaited = 0
        return self._reply

    async def _send(self, ask: Ask) -> None:
        # The cancel must not reach it: a signal that is cancelled when it has just failed is more
        # than the SDK's state machine takes, and no worker could ever carry the run on.
        sending = asyncio.create_task(self._team.signal("ask", ask))
        if not await settled(sending):
            await workflow.wait([sending])
        failure = sending.exception()
        if is_cancelled():
            raise asyncio.CancelledError
        if failure is not None:
            raise TeamGone from failure


async def report(team: str, seat: Seat, result: AgentResult, journal: Journal | None) -> None:
    """Tell the team that the run has ended, and how; a team that is gone is told nothing."""
    told = Report(
        member=seat.member,
        workflow_id=workflow.info().workflow_id,
        run=journal.plan.run if journal else None,
        result=result if seat.is_lead else result.beginning,  # its lead's answer is the team's
        read=journal.read if journal else seat.received,
        unshown=tuple(each for each in journal.entries if each.kind == "result")
        if journal
        else seat.unshown,
    )
    try:
        await workflow.get_external_workflow_handle(team).signal("report", told)
    except FailureError as error:
        workflow.logger.warning("No team to report to: %s", error)


def entry_of(parcel: Parcel) -> Entry:
    """A message as the next think is given it."""
    return Entry(kind="message", text=parcel.text, quotes=parcel.quotes, key=parcel.key)
