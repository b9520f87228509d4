"""One agent's run: observe, think, act, remember, until an answer or a limit."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    RetryState,
    is_cancelled_exception,
)
from temporalio.exceptions import TimeoutError as TimedOut

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from perdure.contracts import (
        DELEGATE,
        FINISH,
        LEADS_TOOLS,
        MEMBERS_TOOLS,
        WAIT,
        WAIT_FOR_TASKS,
        ActInput,
        AgentRequest,
        AgentResult,
        Call,
        CloseRun,
        Decision,
        Delivery,
        Entry,
        Message,
        OpenRun,
        RunPlan,
        RunState,
        RunStatus,
        ThinkInput,
        Usage,
    )
    from workflows import effects
    from workflows.delegation import Delegation
    from workflows.desk import Desk, TeamGone, entry_of, report
    from workflows.interruption import calm, is_cancelled, is_evicted
    from workflows.journal import Journal
    from workflows.limits import out_of_time, reached
    from workflows.lodging import Guest, Lodging, lodge, nobody_serves
    from workflows.outcome import Outcome
    from workflows.report import found_by, markdown

FRUITLESS_STEPS = 8
"""So many steps in a row that lead nowhere end a run as stuck."""
MOST_PENDING_BYTES = 256_000
"""Messages cross the history on their way to the store; Temporal's payloads end at 2 MB."""
STEPS_BETWEEN_UPSERTS = 25
"""Each upsert costs the server about as much as a step, so the Web UI's counters lag behind."""


@workflow.defn(failure_exception_types=[ValidationError])
class AgentWorkflow:
    """In `AgentRequest`, out `AgentResult`; updates `tell`, `pause`, `resume`; query `status`.

    Signal `deliver` is for its team.
    """

    def __init__(self) -> None:
        self._request: AgentRequest | None = None
        self._journal: Journal | None = None
        self._lodging: Lodging | Guest | None = None
        self._delegation: Delegation | None = None
        self._desk: Desk | None = None
        self._undelivered: list[Delivery] = []
        self._inbox: list[Entry] = []
        self._paused = False
        self._dismissal = ""
        self._closing = False
        self._keys = 0
        self._status = RunStatus.RUNNING
        self._doing = "opening"
        self._result: AgentResult | None = None

    @workflow.run
    async def run(self, request: AgentRequest) -> AgentResult:
        self._request = request
        try:
            journal = self._journal = await self._begin(request)
            result = await self._work(journal)
        except TeamGone:
            result = self._end(RunStatus.CANCELLED, "", "The run's team has ended.")
        except (asyncio.CancelledError, ActivityError, ApplicationError) as error:
            if is_evicted(error):
                raise
            result = self._interrupted(error)
        self._upsert()
        closing = asyncio.create_task(self._close(result))
        with suppress(asyncio.CancelledError):  # too late: how the run ended is settled
            await asyncio.shield(closing)
        await closing
        return result if request.origin is None else result.beginning

    # What the outside may say and ask

    @workflow.update
    def tell(self, message: Message) -> RunState:
        """A message that the agent reads before its next think."""
        text = message.text if message.sender == "user" else f"{message.sender}: {message.text}"
        self._inbox.append(Entry(kind="message", text=text))
        return self.status()

    @tell.validator
    def _check_message(self, message: Message) -> None:
        if not isinstance(message, Message):  # null, or more than one argument
            text = 'A message is one JSON object: {"text": "…"}.'
            raise ApplicationError(text, type="BadInput")
        if self._closing or self._result is not None:
            text = "The run has ended, or is saying its last words. Start another from its head."
            raise ApplicationError(text, type="RunEnded")
        pending = len(message.text.encode()) + sum(
            len((each.text or "").encode()) for each in self._inbox
        )
        if self._journal is not None:
            pending += self._journal.pending_bytes
        if pending > MOST_PENDING_BYTES:
            text = (
                f"The run has {pending:,} bytes of messages to read, more than"
                f" {MOST_PENDING_BYTES:,}. Wait for its next step, or send less."
            )
            raise ApplicationError(text, type="InboxFull")

    @workflow.update
    def pause(self) -> RunState:
        """Hold the run before its next think; what is under way is finished."""
        self._paused = True
        return self.status()

    @workflow.update
    def resume(self) -> RunState:
        """Let a paused run go on."""
        self._paused = False
        return self.status()

    @workflow.signal
    def deliver(self, delivery: Delivery) -> None:
        """What the run's team has for it, to be read before its next think."""
        self._undelivered.append(delivery)
        self._unpack()

    def _unpack(self) -> None:
        if self._desk is None:
            return  # a delivery may come before the run has begun
        for delivery in self._undelivered:
            for parcel in self._desk.take(delivery):
                match parcel.kind:
                    case "pause" | "resume":
                        self._paused = parcel.kind == "pause"
                    case "end":
                        self._dismissal = parcel.text
                    case _:
                        self._inbox.append(entry_of(parcel))
        self._undelivered.clear()

    @workflow.query
    def status(self) -> RunState:
        journal = self._journal
        return RunState(
            status=self._status,
            agent=journal.plan.agent if journal else "",
            model=journal.plan.model if journal else "",
            doing=self._doing,
            head=journal.head if journal else None,
            steps=journal.spent.steps if journal else 0,
            usage=journal.spent.usage if journal else Usage(),
            result=self._result,
        )

    # The loop

    async def _work(self, journal: Journal) -> AgentResult:
        while True:
            await self._observe(journal)
            if limit := self._limit(journal):
                return await self._hand_over(journal, *limit)
            if self._dismissal:
                return await self._hand_over(journal, RunStatus.CANCELLED, self._dismissal)
            try:
                decision = await self._think(journal)
            except ActivityError as error:
                if not _ran_out_of_time(error) or journal.plan.limits.max_minutes is None:
                    raise
                return await self._hand_over(journal, *out_of_time(journal.plan.limits))
            if result := await self._follow(journal, decision):
                return result
            if journal.fruitless >= FRUITLESS_STEPS:
                reason = f"the last {FRUITLESS_STEPS} steps led nowhere"
                return await self._hand_over(journal, RunStatus.STUCK, reason)
            if journal.steps % STEPS_BETWEEN_UPSERTS == 0:
                self._upsert()

    async def _observe(self, journal: Journal) -> None:
        """Wait while paused, take in the messages, shed a history that has grown long."""
        assert self._lodging is not None
        # A sandbox that is being opened would be lost; a run that waits for it goes on later.
        is_long = workflow.info().is_continue_as_new_suggested() and not self._lodging.is_opening
        if is_long:
            await workflow.wait_condition(workflow.all_handlers_finished)
            await calm()
        if self._paused:
            is_long = False  # a cancel may come with what ends the pause
            self._stand(RunStatus.PAUSED, "paused")
            await self._until(
                lambda: not self._paused or bool(self._dismissal),
                self._time_left(journal),
                "paused",
            )
            self._stand(RunStatus.RUNNING, "resumed")
        if self._dismissal:
            return  # a run that continues as new would not know of it
        journal.entries += self._inbox
        self._inbox.clear()
        if self._desk is not None:
            journal.received = self._desk.received
        if is_long:
            assert self._request is not None
            progress = journal.carried(self._lodging.at)
            carried = {"task": journal.plan.task_preview, "progress": progress}
            workflow.continue_as_new(self._request.model_copy(update=carried))

    async def _think(self, journal: Journal, closing: str | None = None) -> Decision:
        self._report(RunStatus.RUNNING, "thinking")
        self._tell_budget(journal)
        request = ThinkInput(
            run=journal.plan.run,
            key=self._key(),
            head=journal.head,
            entries=tuple(journal.entries),
            closing=closing,
        )
        decision = await effects.think(request, journal.steps + 1, self._time_left(journal))
        journal.turn(decision, counts=closing is None)
        if is_cancelled():
            raise asyncio.CancelledError  # the reply came all the same: it is paid for, and counts
        return decision

    async def _follow(self, journal: Journal, decision: Decision) -> AgentResult | None:
        """Do what the model decided; a result when that ended the run."""
        if decision.problem is not None:
            journal.notice(decision.problem)
            journal.remember(f"unusable reply: {decision.problem}", useful=False)
            return None
        if decision.answer is not None:
            journal.remember("answered", useful=True)
            return await self._answered(journal, decision.answer)
        ending = [call for call in decision.calls if call.tool == FINISH and not call.problem]
        others = [call for call in decision.calls if call not in ending]
        assert self._delegation is not None
        self._delegation.reserve(others)
        outcomes = await self._all(journal, [self._carry_out(journal, call) for call in others])
        journal.remember(
            "; ".join(
                f"{call.summary} → {outcome.seen}"
                for call, outcome in zip(others, outcomes, strict=True)
            )
            or FINISH,
            useful=any(not call.problem for call in decision.calls),
            step=" ".join([call.digest for call in others] + [each.digest for each in outcomes]),
        )
        if not ending:
            return None
        refusal: str | None = "first look at what else this step brought."
        if all(outcome.is_ok for outcome in outcomes) and not self._inbox:
            refusal = await self._refusal()
        if refusal is None:
            return self._finish(ending[0].arguments or {})
        for call in ending:
            journal.result(call.id, f"Not ended yet: {refusal}")
        return None

    async def _all(
        self, journal: Journal, effects: list[Coroutine[Any, Any, Outcome]]
    ) -> list[Outcome]:
        """Every outcome; when the run is cancelled, only after all of them have stopped."""
        carrying_out = [asyncio.create_task(each) for each in effects]
        try:
            await asyncio.gather(*carrying_out, return_exceptions=True)
        finally:
            ended = [each for each in carrying_out if not each.cancelled() and not each.exception()]
            journal.entries += [each.result().entry for each in ended]
        return [each.result() for each in carrying_out]

    async def _answered(self, journal: Journal, answer: str) -> AgentResult | None:
        if self._inbox:
            return None
        if refusal := await self._refusal():
            journal.notice(f"Not ended yet: {refusal}")
            return None
        return self._end(RunStatus.COMPLETED, answer)

    async def _refusal(self) -> str | None:
        """Why the run cannot end yet, where it leads a team; meanwhile it can be told nothing."""
        if self._desk is None:
            return None
        self._closing = True
        refusal = await self._desk.refusal()
        self._closing = refusal is None
        return refusal

    def _finish(self, arguments: dict[str, Any]) -> AgentResult:
        if "output" not in arguments:
            return self._end(RunStatus.COMPLETED, arguments["answer"])
        output = arguments["output"]
        text = json.dumps(output, ensure_ascii=False)
        return self._end(RunStatus.COMPLETED, text, output=output)

    async def _carry_out(self, journal: Journal, call: Call) -> Outcome:
        if call.problem is not None:
            return Outcome.said(call, f"Not carried out: {call.problem}", is_ok=False)
        if call.tool == WAIT:
            text = await self._wait(journal, call.arguments or {})
            now = workflow.now().isoformat()  # waiting once more is no repetition: time passed
            return Outcome.said(call, text, is_ok=True, digest=now)
        if call.tool == DELEGATE and self._delegation is not None:
            self._report(RunStatus.WAITING, call.summary)
            return await self._delegation.carry_out(call)
        if call.tool in {*MEMBERS_TOOLS, *LEADS_TOOLS} and self._desk is not None:
            return await self._ask(journal, call)
        return await self._act(journal, call)

    async def _ask(self, journal: Journal, call: Call) -> Outcome:
        assert self._desk is not None
        self._report(RunStatus.RUNNING, call.summary)
        time = self._time_left(journal)
        if call.tool != WAIT_FOR_TASKS:
            return await self._desk.ask(call, lambda: False, time)
        seconds = (call.arguments or {}).get("seconds")
        times = [time, timedelta(seconds=seconds) if seconds else None]
        self._report(RunStatus.WAITING, call.summary)
        return await self._desk.ask(
            call, lambda: bool(self._inbox), min(filter(None, times), default=None)
        )

    async def _act(self, journal: Journal, call: Call) -> Outcome:
        assert journal.head is not None
        assert self._lodging is not None
        self._report(RunStatus.RUNNING, call.summary)
        key = self._key()
        while True:
            try:
                place = await self._lodging.place(self._time_left(journal))
            except ActivityError as error:
                if not _ran_out_of_time(error):
                    raise
                text = "Not carried out: the run's sandbox could not be opened in time."
                return Outcome.said(call, text, is_ok=False)
            request = ActInput(
                run=journal.plan.run,
                key=key,
                turn=journal.head,
                call=call.id,
                place=place,
                owner=self._lodging.owner,
            )
            try:
                seen = await effects.act(request, call.summary, self._time_left(journal))
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                if not nobody_serves(error):
                    text = f"The outcome is unknown: {_sentence(error)}"
                    return Outcome.said(call, text, is_ok=False)
                if is_cancelled():
                    raise  # or it would be tried elsewhere
                self._lodging.leave(place)
            else:
                return Outcome.observed(call, seen)

    async def _wait(self, journal: Journal, arguments: dict[str, Any]) -> str:
        began = workflow.now()
        about = arguments.get("reason") or f"{arguments['seconds']:g} seconds"
        self._stand(RunStatus.WAITING, f"waiting: {about}")
        limits = (timedelta(seconds=arguments["seconds"]), self._time_left(journal))
        time = min(limit for limit in limits if limit is not None)
        woken = await self._until(self._is_woken, time, f"wait: {about}")
        self._stand(RunStatus.RUNNING, "woken")
        seconds = (workflow.now() - began).total_seconds()
        return f"A message came after {seconds:.0f} s." if woken else f"Waited {seconds:.0f} s."

    def _is_woken(self) -> bool:
        return bool(self._inbox or self._dismissal)

    async def _hand_over(self, journal: Journal, status: RunStatus, reason: str) -> AgentResult:
        """One last think without tools, for the best answer that there is."""
        self._closing = True
        if self._desk is not None:
            journal.entries += await self._desk.last_news()
            journal.entries += self._inbox
            self._inbox.clear()
            journal.received = self._desk.received
        journal.notice(
            f"This run ends now: {reason}. No tool can be called any more. Give your best answer"
            " from what you have."
        )
        try:
            await self._think(journal, closing=reason)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("No last words: %s", _sentence(error))
        return self._end(status, journal.answer, f"The run ended because {reason}.")

    # Beginning and end

    async def _begin(self, request: AgentRequest) -> Journal:
        if request.progress is not None:
            journal = Journal.resumed(request.progress)
            self._furnish(request, journal)
            return journal
        info = workflow.info()
        run = info.first_execution_run_id
        plan = await effects.open_run(
            OpenRun(run=run, workflow_id=info.workflow_id, request=request)
        )
        journal = self._journal = _fresh(request, plan)
        self._furnish(request, journal)
        assert self._lodging is not None
        if is_cancelled():
            raise asyncio.CancelledError  # it was recorded all the same
        self._upsert()
        if request.workspace is not None:
            # First, so that a folder that is not there costs nothing.
            await self._lodging.place(self._time_left(journal))
        elif plan.executes:
            self._lodging.prepare(self._time_left(journal))
        return journal

    def _furnish(self, request: AgentRequest, journal: Journal) -> None:
        """Give the run what it works with, anew after each continue-as-new."""
        self._lodging = lodge(request, journal.plan)
        self._delegation = Delegation(AgentWorkflow.run, request, journal)
        if request.origin is not None and request.origin.seat is not None:
            self._desk = Desk(request.origin, request.origin.seat, journal)
            self._unpack()

    async def _close(self, result: AgentResult) -> None:
        if self._journal is not None and self._lodging is not None:
            run = self._journal.plan.run
            closing = effects.close_run(CloseRun(run=run, result=result))
            await asyncio.gather(closing, self._lodging.close(result.head))
        elif result.status == RunStatus.CANCELLED:  # it may have been recorded already
            run = workflow.info().first_execution_run_id
            await effects.close_run(CloseRun(run=run, result=result))
        await self._report_to_team(result)

    async def _report_to_team(self, result: AgentResult) -> None:
        """Last of all, so that a member is only reported gone when nothing of it is left."""
        origin, journal = self._request.origin if self._request else None, self._journal
        if origin is None or origin.seat is None:
            return
        await report(origin.parent, origin.seat, result, journal)

    def _interrupted(self, error: BaseException) -> AgentResult:
        answer = self._journal.answer if self._journal else ""
        if is_cancelled_exception(error):
            return self._end(RunStatus.CANCELLED, answer, "The run was cancelled.")
        assert isinstance(error, ActivityError | ApplicationError)
        return self._end(RunStatus.FAILED, answer, _sentence(error))

    def _end(
        self, status: RunStatus, answer: str, reason: str = "", output: Any = None
    ) -> AgentResult:
        self._result = AgentResult(
            status=status,
            answer=answer,
            output=output,
            reason=reason,
            head=self._journal.head if self._journal else None,
            steps=self._journal.spent.steps if self._journal else 0,
            usage=self._journal.spent.usage if self._journal else Usage(),
        )
        self._report(status, "ended")
        return self._result

    # Keys, time and what is seen from outside

    def _key(self) -> str:
        """Names one effect of this run: the same on every attempt, new after a reset."""
        self._keys += 1
        return f"{workflow.info().run_id}:{self._keys}"

    def _time_left(self, journal: Journal) -> timedelta | None:
        if journal.plan.limits.max_minutes is None:
            return None
        end = journal.started + timedelta(minutes=journal.plan.limits.max_minutes)
        return max(end - workflow.now(), timedelta(seconds=1))

    def _limit(self, journal: Journal) -> tuple[RunStatus, str] | None:
        return reached(
            journal.plan.limits,
            steps=journal.spent.steps,
            usage=journal.spent.usage,
            elapsed=workflow.now() - journal.started,
        )

    def _tell_budget(self, journal: Journal) -> None:
        """Have those who share a budget know what is left of it."""
        assert self._delegation is not None
        if self._request is not None and (self._request.origin or journal.plan.delegates):
            left = self._delegation.purse().left(workflow.now())
            journal.notice(f"Your budget: {left} left.")

    async def _until(
        self, condition: Callable[[], bool], time: timedelta | None, summary: str
    ) -> bool:
        """Whether `condition` came true within `time`."""
        try:
            await workflow.wait_condition(condition, timeout=time, timeout_summary=summary[:200])
        except TimeoutError:
            return False
        return True

    def _report(self, status: RunStatus, doing: str) -> None:
        self._status, self._doing = status, doing
        if self._journal is not None:
            plan, recent = self._journal.plan, self._journal.recent
            workflow.set_current_details(markdown(self.status(), plan.task_preview, recent))

    def _stand(self, status: RunStatus, doing: str) -> None:
        """Enter or leave a state in which a run may stay for days, and is searched for."""
        self._report(status, doing)
        self._upsert()

    def _upsert(self) -> None:
        assert self._request is not None
        workflow.upsert_search_attributes(found_by(self.status(), self._request))


def _fresh(request: AgentRequest, plan: RunPlan) -> Journal:
    """A run's first journal: its task, or that it goes on with it, and the mail that waited."""
    journal = Journal(plan=plan, started=workflow.now(), head=request.head)
    seat = request.origin.seat if request.origin else None
    if seat is not None and seat.restarted and request.head is not None:
        journal.entries += seat.unshown
        journal.notice(f"Your run was ended: {seat.restarted} Go on with the task where it was.")
    else:
        journal.entries.append(plan.task)
        if seat is not None and seat.needs:
            built_on = "The results of the tasks that yours builds on:"
            journal.entries.append(Entry(kind="message", text=built_on, quotes=seat.needs))
    if seat is not None:
        journal.entries += [entry_of(parcel) for parcel in seat.parcels]
        journal.read, journal.received = seat.received, seat.received + len(seat.parcels)
    return journal


def _ran_out_of_time(error: ActivityError) -> bool:
    """Also true when the next retry would come too late, which the server does not wait for."""
    return isinstance(error.cause, TimedOut) or error.retry_state is RetryState.TIMEOUT


def _sentence(error: FailureError) -> str:
    """What went wrong, in the words of the activity."""
    return error.cause.message if isinstance(error.cause, FailureError) else error.message
