"""A team: a lead that plans, members that work, and a supervisor that loses none of them.

The workflow is an actor. It takes in what was signalled, which changes its `Crew`, then carries out
what follows from that, and only then looks again: so nothing is half done when it continues as new.
"""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    is_cancelled_exception,
)
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from perdure.attributes import of_request
    from perdure.contracts import (
        AgentRequest,
        AgentResult,
        Ask,
        CloseRun,
        Delivery,
        Message,
        Origin,
        Parcel,
        Report,
        RunState,
        RunStatus,
        Seat,
        Spent,
    )
    from perdure.teams.contracts import (
        MemberState,
        OpenTeam,
        RollCall,
        TeamPlan,
        TeamRequest,
        TeamState,
    )
    from workflows import effects
    from workflows.agent import AgentWorkflow
    from workflows.answers import answer, answer_waiting
    from workflows.crew import Crew
    from workflows.endings import check, take
    from workflows.interruption import calm, is_cancelled, is_evicted
    from workflows.lodging import Lodging, lost
    from workflows.report import team_found_by, team_markdown
    from workflows.staffing import Start, starts

BETWEEN_ROLL_CALLS = timedelta(minutes=1)
"""A member that was terminated, or hangs, is noticed by a roll call."""
LAST_WORDS = timedelta(minutes=3)
"""How long members that were asked to end may take for it before they are cancelled."""


@workflow.defn(failure_exception_types=[ValidationError])
class TeamWorkflow:
    """In `TeamRequest`, out `AgentResult`; updates `tell`, `pause`, `resume`; query `status`.

    Signals `ask` and `report` are for its members.
    """

    def __init__(self) -> None:
        self._request: TeamRequest | None = None
        self._crew: Crew | None = None
        self._lodging: Lodging | None = None
        self._signals: list[Ask | Report] = []
        self._is_touched = False
        """Whether something has changed that no signal tells of."""
        self._is_roll_due = False
        self._ticking: asyncio.Task[None] | None = None
        self._reported: datetime | None = None
        self._dismissal: datetime | None = None
        self._status = RunStatus.RUNNING
        self._doing = "opening"
        self._result: AgentResult | None = None

    @workflow.run
    async def run(self, request: TeamRequest) -> AgentResult:
        self._request = request
        try:
            crew = await self._begin(request)
            result = await self._lead(crew)
        except (asyncio.CancelledError, ActivityError) as error:
            if is_evicted(error):
                raise
            result = self._interrupted(error)
        closing = asyncio.create_task(self._close(result))
        with suppress(asyncio.CancelledError):  # too late: how the team ended is settled
            await asyncio.shield(closing)
        return await closing

    # What the outside and the members may say and ask

    @workflow.update
    async def tell(self, message: Message) -> RunState:
        """A message that the lead reads before its next think."""
        await self._opened()
        assert self._crew is not None
        sender = "" if message.sender == "user" else f"{message.sender}: "
        self._crew.tell(self._crew.lead, sender + message.text)
        self._is_touched = True
        return self._standing()

    @tell.validator
    def _check_message(self, message: Message) -> None:
        if not isinstance(message, Message):  # null, or more than one argument
            text = 'A message is one JSON object: {"text": "…"}.'
            raise ApplicationError(text, type="BadInput")
        crew = self._crew
        if self._result is not None or (crew is not None and crew.is_ending):
            text = "The team has ended, or is about to. Start another from its head."
            raise ApplicationError(text, type="RunEnded")
        if crew is not None and (problem := crew.has_no_room(crew.lead)):
            raise ApplicationError(problem, type="InboxFull")

    @workflow.update
    async def pause(self) -> RunState:
        """Hold every member before its next think, and start no task."""
        await self._opened()
        self._hold(is_paused=True)
        return self._standing()

    @workflow.update
    async def resume(self) -> RunState:
        """Let a paused team go on."""
        await self._opened()
        self._hold(is_paused=False)
        return self._standing()

    def _standing(self) -> RunState:
        """What an update answers: it stays in the history, so it has no members and no tasks."""
        state = self.status()
        return RunState(**{name: getattr(state, name) for name in RunState.model_fields})

    async def _opened(self) -> None:
        await workflow.wait_condition(lambda: self._crew is not None or self._result is not None)
        if self._crew is None:
            text = "The team could not be opened: its result says why."
            raise ApplicationError(text, type="RunEnded")
        if self._crew.is_ending:
            text = "The team has ended, or is about to."
            raise ApplicationError(text, type="RunEnded")

    @workflow.signal
    def ask(self, ask: Ask) -> None:
        """A member calls a tool that its team carries out."""
        self._signals.append(ask)

    @workflow.signal
    def report(self, report: Report) -> None:
        """A member's run has ended."""
        self._signals.append(report)

    @workflow.query
    def status(self) -> TeamState:
        crew, result = self._crew, self._result
        spent = crew.spent if crew else Spent()
        return TeamState(
            status=self._status,
            agent=crew.plan.team if crew else "",
            model=crew.plan.lead.model if crew else "",
            doing=crew.doing if crew and result is None else self._doing,
            head=crew.members[crew.lead].head if crew else None,
            steps=spent.steps,
            usage=spent.usage,
            result=result,
            goal=crew.plan.goal if crew else "",
            members=crew.shown if crew else (),
            tasks=crew.ledger.tasks if crew else (),
            messages=crew.messages if crew else {},
            left=str(crew.purse.left(workflow.now())) if crew else "",
        )

    # The loop

    async def _lead(self, crew: Crew) -> AgentResult:
        while crew.result is None:
            await self._turn(crew)
        return crew.result

    async def _turn(self, crew: Crew) -> None:
        """Carry out what is to be done, then wait for what happens next and take it in."""
        acting = asyncio.create_task(self._act(crew))
        try:
            await asyncio.shield(acting)
        except asyncio.CancelledError:
            if self._lodging is not None:
                await self._lodging.give_up()  # or it would be waited for
            with suppress(ActivityError):  # of a workspace that nobody needs now
                await acting  # what has begun is known before the team is dismissed
            raise
        self._show(crew)
        await self._continue_as_new(crew)
        await workflow.wait_condition(
            lambda: bool(self._signals) or self._is_touched or self._is_roll_due
        )
        await self._take_in(crew)

    async def _tick(self) -> None:
        """One timer, rather than one at each turn."""
        while True:
            await workflow.sleep(BETWEEN_ROLL_CALLS, summary="the next roll call")
            self._is_roll_due = True

    async def _take_in(self, crew: Crew) -> None:
        now = workflow.now()
        self._is_touched = False
        self._hear(crew)
        if self._is_roll_due:
            await self._call_roll(crew)
        if self._dismissal is None and crew.is_ending and crew.at_work:
            self._dismissal = now + LAST_WORDS
        if self._dismissal is not None and now >= self._dismissal:
            crew.dismiss("It took too long to end.", but=crew.lead)
        answer_waiting(crew, now)

    def _hear(self, crew: Crew) -> None:
        signals, self._signals = self._signals, []
        for signal in signals:
            if isinstance(signal, Ask):
                answer(crew, signal, workflow.now())
            else:
                self._take(crew, signal)

    def _take(self, crew: Crew, report: Report) -> None:
        take(crew, report, workflow.now())
        place = self._lodging.at if self._lodging else None
        if self._lodging and place and report.result.reason == lost(place):
            self._lodging.leave(place)

    async def _call_roll(self, crew: Crew) -> None:
        self._is_roll_due = False
        self._upsert()
        ids = tuple(each.workflow_id for each in crew.at_work)
        if not ids:
            return
        roll = await effects.call_roll(RollCall(workflow_ids=ids))
        self._hear(crew)  # a report that came meanwhile says more than the roll
        for present in roll.present:
            if report := check(crew, present, workflow.now()):
                self._take(crew, report)

    async def _act(self, crew: Crew) -> None:
        wanted = list(starts(crew, workflow.now()))
        answer_waiting(crew, workflow.now())  # tasks may have failed for want of budget
        if crew.result is not None and not crew.is_ending:
            self._is_touched = True  # nothing else would tell that the lead could not begin
        if wanted and self._lodging is not None:
            await self._lodging.place(None)
        await asyncio.gather(*(self._start(crew, start) for start in wanted))
        await asyncio.gather(
            *(self._deliver(crew, name, delivery) for name, delivery in crew.deliveries()),
            *(self._stop(member) for member in crew.stops()),
        )

    async def _start(self, crew: Crew, start: Start) -> None:
        request = self._wanted(crew, start)
        about = start.task.about if start.task else crew.plan.goal
        try:
            await workflow.start_child_workflow(
                AgentWorkflow.run,
                request,
                id=start.member.workflow_id,
                # It outlives this run of the workflow, which may continue as new.
                parent_close_policy=ParentClosePolicy.ABANDON,
                search_attributes=of_request(request),
                static_summary=f"{start.member.name}: {about[:90]}",
            )
        except FailureError as error:
            workflow.logger.warning("%s could not start: %s", start.member.name, error)
            self._is_roll_due = True  # which finds out, and has it started again

    async def _deliver(self, crew: Crew, name: str, delivery: Delivery) -> None:
        handle = workflow.get_external_workflow_handle_for(
            AgentWorkflow.run, crew.members[name].workflow_id
        )
        with suppress(FailureError):  # it has ended: the mail waits for the member's next run
            await handle.signal(AgentWorkflow.deliver, delivery)
            crew.mail[name].sent(delivery.first + len(delivery.parcels) - 1)

    async def _stop(self, member: MemberState) -> None:
        with suppress(FailureError):  # it has ended already
            await workflow.get_external_workflow_handle(member.workflow_id).cancel()

    # Beginning and end

    async def _begin(self, request: TeamRequest) -> Crew:
        info = workflow.info()
        if progress := request.progress:
            crew = Crew(info.workflow_id, progress.plan, progress.started, progress)
            self._furnish(crew.plan, request)
            self._is_roll_due = True  # for a team that continues as new more than once a minute
        else:
            opening = OpenTeam(
                run=info.first_execution_run_id, workflow_id=info.workflow_id, request=request
            )
            plan = await effects.open_team(opening)
            if is_cancelled():
                raise asyncio.CancelledError  # it was recorded all the same
            crew = Crew(info.workflow_id, plan, workflow.now(), None)
            crew.set(crew.lead, head=request.head)
            self._furnish(plan, request)
        self._crew = crew
        if crew.is_paused:
            self._status = RunStatus.PAUSED
        self._ticking = asyncio.create_task(self._tick())
        self._upsert()
        return crew

    def _furnish(self, plan: TeamPlan, request: TeamRequest) -> None:
        if plan.shared_workspace:
            place = request.progress.place if request.progress else None
            self._lodging = Lodging(plan.run, plan.executes, request.workspace, place)

    def _interrupted(self, error: BaseException) -> AgentResult:
        if is_cancelled_exception(error):
            return AgentResult.of_nothing(RunStatus.CANCELLED, "The team was cancelled.")
        cause = error.__cause__ or error
        reason = cause.message if isinstance(cause, FailureError) else ""
        return AgentResult.of_nothing(RunStatus.FAILED, reason)

    async def _close(self, result: AgentResult) -> AgentResult:
        """End when nothing of any member is left."""
        crew = self._crew
        if crew is None:
            self._end(result)
            if result.status == RunStatus.CANCELLED:  # it may have been recorded already
                run = workflow.info().first_execution_run_id
                await effects.close_run(CloseRun(run=run, result=result))
            return result
        crew.dismiss("The team ends." if result.status != RunStatus.CANCELLED else result.reason)
        self._is_roll_due = True  # a cancel may have come before some of them had begun
        while crew.at_work:
            await self._turn(crew)
        head = crew.members[crew.lead].head
        result = self._end(
            result.model_copy(
                update={
                    "answer": result.answer or (crew.result.answer if crew.result else ""),
                    "head": head,
                    "steps": crew.purse.spent.steps,
                    "usage": crew.purse.spent.usage,
                }
            )
        )
        if self._lodging is not None:
            await self._lodging.close(head)
        await effects.close_run(CloseRun(run=crew.plan.run, result=result))
        return result

    def _end(self, result: AgentResult) -> AgentResult:
        self._result, self._status, self._doing = result, result.status, "ended"
        workflow.set_current_details(team_markdown(self.status()))
        self._upsert()
        return result

    # Details

    def _wanted(self, crew: Crew, start: Start) -> AgentRequest:
        assert self._request is not None
        member, task = start.member, start.task
        seat = Seat(
            member=member.name,
            kind=member.kind,
            is_lead=member.name == crew.lead,
            task=task.id if task else "",
            received=start.received,
            parcels=start.parcels,
            needs=start.needs,
            restarted=start.restarted,
            unshown=start.unshown,
            commons=crew.plan.run if self._lodging else None,
            place=self._lodging.at if self._lodging else None,
        )
        return AgentRequest(
            task=task.about if task else crew.plan.goal,
            agent=member.kind,
            limits=start.share,
            head=member.head,
            conversation=self._request.conversation,
            user=self._request.user,
            workspace=self._request.workspace if member.head is None and not seat.place else None,
            origin=Origin(
                parent=crew.team_id, depth=1, task=task.text if task else None, seat=seat
            ),
        )

    def _hold(self, *, is_paused: bool) -> None:
        crew = self._crew
        if crew is None or crew.is_paused == is_paused:
            return
        crew.is_paused = is_paused
        self._status = RunStatus.PAUSED if is_paused else RunStatus.RUNNING
        for member in crew.at_work:
            crew.mail[member.name].put(Parcel(kind="pause" if is_paused else "resume"))
        self._is_touched = True

    async def _continue_as_new(self, crew: Crew) -> None:
        """Nothing is under way here, and every signal that has come is taken in."""
        if not workflow.info().is_continue_as_new_suggested() or not self._may_go_on(crew):
            return
        await calm()
        if self._signals:  # under load there are always some
            self._hear(crew)
            self._is_touched = True  # what follows from them is still to be done
        if not self._may_go_on(crew):
            return
        assert self._request is not None
        progress = crew.carried(self._lodging.at if self._lodging else None)
        # The store has the rest of the request: a team that is given inline may be long.
        carried = {"goal": crew.plan.goal, "team": crew.plan.team, "progress": progress}
        workflow.continue_as_new(self._request.model_copy(update=carried))

    def _may_go_on(self, crew: Crew) -> bool:
        """Whether it is not about to end; a workspace that was lost is to be opened again first."""
        is_lodged = self._lodging is None or self._lodging.at is not None
        return is_lodged and not crew.is_ending and crew.result is None

    def _show(self, crew: Crew) -> None:
        """Have the Web UI show how the team stands, once a second at most: it is long."""
        now = workflow.now()
        if self._reported is None or now - self._reported >= timedelta(seconds=1):
            self._reported = now
            workflow.set_current_details(team_markdown(self.status()))

    def _upsert(self) -> None:
        assert self._request is not None
        found = team_found_by(self.status(), self._request, workflow.info().workflow_id)
        workflow.upsert_search_attributes(found)
