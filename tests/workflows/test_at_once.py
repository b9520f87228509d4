"""A cancel that comes in the very workflow task that brings other news.

On a server that is chance, though not a rare one where workers have been away for a moment. Some
of these wedged a run for ever, since the SDK's state machines know no such transition; others lost
what had been paid for, or the cancel itself.
"""

from collections.abc import Callable
from typing import Any

import pytest

from perdure.contracts import (
    AgentRequest,
    AgentResult,
    Ask,
    Call,
    Decision,
    Delivery,
    Entry,
    Limits,
    Observation,
    Origin,
    Parcel,
    Place,
    Report,
    RunPlan,
    RunStatus,
    Seat,
    Spent,
    Usage,
)
from perdure.teams.contracts import (
    MemberPlan,
    Present,
    Roll,
    Supervision,
    TeamPlan,
    TeamRequest,
)
from tests.workflows.history import RUN, Course, History

PLACE = Place(queue="act@machine", kind="docker", name=RUN)
PLAN = RunPlan(
    run=RUN,
    agent="agent",
    model="model",
    limits=Limits(max_steps=50),
    task=Entry(kind="task", id="task"),
    task_preview="task",
    most_children=3,
    delegates=True,
)
LEAD = MemberPlan(name="lead", kind="lead", model="model", limits=Limits(max_steps=20))
TEAM = TeamPlan(
    run=RUN,
    team="team",
    goal="goal",
    lead=LEAD,
    members=(MemberPlan(name="coder", kind="coder", model="model", limits=Limits(max_steps=20)),),
    limits=Limits(max_steps=100),
    lead_share=0.5,
    supervision=Supervision(),
    shared_workspace=False,
    executes=True,
)
MESSAGE = Delivery(first=1, parcels=(Parcel(kind="message", text="Hello.", key="k"),))
CHILDS = AgentResult(
    status=RunStatus.CANCELLED, answer="", head="h", steps=7, usage=Usage(input_tokens=5)
)
GONE = Roll(
    present=(
        Present(
            workflow_id="team.coder.1.1",
            run=None,
            is_over=True,
            result=None,
            spent=Spent(steps=7),
            silent_seconds=0,
        ),
    )
)


def decision(tool: str, **arguments: Any) -> Decision:
    call = Call(id="call", tool=tool, summary=tool, arguments=arguments)
    return Decision(head="turn", thought="x", calls=(call,), usage=Usage(input_tokens=1000))


def thinking(plan: RunPlan = PLAN) -> tuple[History, int]:
    """A member's run in its first think."""
    seat = Seat(member="coder", kind="coder", task="a")
    origin = Origin(parent="team", depth=1, seat=seat)
    history = History("AgentWorkflow", AgentRequest(task="task", origin=origin), "team.coder.1")
    history.task()
    history.done(history.asked("open_run"), plan)
    history.task()
    history.upserted()
    return history, history.asked("think")


def decided(made: Decision) -> History:
    """A member's run that has made its first decision; what it does about it follows."""
    history, think = thinking()
    history.done(think, made)
    history.task()
    return history


def waiting() -> tuple[History, int]:
    """A member's run that waits, and its timer."""
    history = decided(decision("wait", seconds=60))
    history.upserted()
    return history, history.slept()


def acting() -> tuple[History, int]:
    """A member's run whose first call is being carried out."""
    history = decided(decision("write_file"))
    history.done(history.asked("open_sandbox"), PLACE)
    history.task()
    return history, history.asked("act", PLACE.queue)


def delegating() -> tuple[History, int]:
    history = decided(decision("delegate", agent="agent", task="a part"))
    return history, history.delegated("team.coder.1.1")


def leading(plan: TeamPlan = TEAM) -> History:
    """A team that is about to start its lead."""
    history = History("TeamWorkflow", TeamRequest(goal="goal", team="team"), "team")
    history.task()
    history.done(history.asked("open_team"), plan)
    history.task()
    history.upserted()
    history.slept()
    return history


def opening(workflow: str) -> tuple[History, int]:
    """A run or a team that is cancelled while it is opened."""
    is_team = workflow == "TeamWorkflow"
    request = TeamRequest(goal="goal", team="team") if is_team else AgentRequest(task="task")
    history = History(workflow, request, "it")
    history.task()
    asked = history.asked("open_team" if is_team else "open_run")
    history.cancelled()
    history.task()
    history.cancel_requested(asked)
    return history, asked


def opening_workspace() -> tuple[History, int]:
    """A team that is cancelled while its workspace is opened."""
    history = leading(TEAM.model_copy(update={"shared_workspace": True}))
    asked = history.asked("open_sandbox")
    history.cancelled()
    history.task()
    history.cancel_requested(asked)
    return history, asked


def woken_when_long(history: History, timer: int) -> None:
    """A message ends the run's wait, in a workflow task that suggests to continue as new."""
    history.signalled("deliver", MESSAGE)
    history.task(is_long=True)
    history.woken(timer)
    history.upserted()


async def ending(history: History) -> Course:
    """The course of what ends at its next workflow task."""
    history.task()
    history.upserted()
    history.asked("close_run")
    return await history.replay()


async def reported(history: History) -> Report:
    """What a run with a sandbox that ends so tells its team."""
    history.task()
    history.upserted()
    history.done(history.asked("close_run"))
    history.done(history.asked("close_sandbox", PLACE.queue))
    history.task()
    history.signalled_another("team", "report")
    (report,) = (await history.replay()).reports
    return report


async def nobody_began(history: History) -> Course:
    """The team finds out that its lead, which it was about to start, is not there; and ends."""
    history.task()
    history.missed(history.cancelled_another("team.lead.1"))
    history.task()
    history.upserted()
    nobody = Present(
        workflow_id="team.lead.1",
        run=None,
        is_over=True,
        result=AgentResult.of_nothing(RunStatus.FAILED, "Temporal does not know its run."),
        spent=Spent(),
        silent_seconds=0,
    )
    history.done(history.asked("call_roll"), Roll(present=(nobody,)))
    return await ending(history)


@pytest.mark.parametrize("is_cancelled_first", [True, False])
async def test_a_think_that_ended_counts(is_cancelled_first: bool) -> None:
    """It is stored and paid for: the result and the head tell of it."""
    history, think = thinking()
    _both(is_cancelled_first, history, lambda: history.done(think, decision("wait", seconds=1)))
    course = await ending(history)
    (result,) = course.ended
    assert (result.status, result.head, result.steps) == ("cancelled", "turn", 1)
    assert result.usage.tokens == 1000


@pytest.mark.parametrize("is_at_once", [True, False])
@pytest.mark.parametrize("minutes", [None, 1.0])
@pytest.mark.parametrize("news", ["failed", "timed_out"])
async def test_a_think_that_fails(news: str, minutes: float | None, is_at_once: bool) -> None:
    """The run was cancelled: it neither failed, nor says last words for having run out of time."""
    limits = PLAN.limits.model_copy(update={"max_minutes": minutes})
    history, think = thinking(PLAN.model_copy(update={"limits": limits}))
    history.cancelled()
    if not is_at_once:
        history.task()
        history.cancel_requested(think)
    getattr(history, news)(think)
    course = await ending(history)
    assert course.end[0] == "cancelled"


async def test_a_call_that_fails_when_it_is_cancelled_is_kept() -> None:
    """What became of it is told, as that of others."""
    history, act = acting()
    history.cancelled()
    history.task()
    history.cancel_requested(act)
    history.failed(act)
    report = await reported(history)
    assert report.result.status == "cancelled"
    (entry,) = report.unshown
    assert entry.text == "The outcome is unknown: out of order"


async def test_a_call_that_nobody_served_is_tried_nowhere_else() -> None:
    """Nobody wants it any more."""
    history, act = acting()
    history.cancelled()
    history.unserved(act)
    history.task()
    history.upserted()
    history.asked("close_run")
    history.asked("close_sandbox", PLACE.queue)
    course = await history.replay()
    assert course.end[0] == "cancelled"


@pytest.mark.parametrize("is_cancelled_first", [True, False])
async def test_a_call_that_ended_is_kept(is_cancelled_first: bool) -> None:
    """Its result is among what the next run of the member is shown first."""
    history, act = acting()
    seen = Observation(result="its result", status="ok", preview="", digest="")
    _both(is_cancelled_first, history, lambda: history.done(act, seen))
    report = await reported(history)
    assert report.result.status == "cancelled"
    assert [each.id for each in report.unshown] == ["its result"]


@pytest.mark.parametrize("is_cancelled_first", [True, False])
async def test_a_signal_that_fails(is_cancelled_first: bool) -> None:
    """The team has ended too: nothing of the run's call is left to be cancelled."""
    history = decided(decision("send_message", to="lead", text="Hello."))
    ask = history.signalled_another("team", "ask")
    _both(is_cancelled_first, history, lambda: history.unheard(ask))
    course = await ending(history)
    assert course.end[0] == "cancelled"


@pytest.mark.parametrize("is_cancelled_first", [True, False])
@pytest.mark.parametrize("is_begun", [True, False])
async def test_a_child_that_was_terminated(is_cancelled_first: bool, is_begun: bool) -> None:
    """What it spent is asked for, and counts."""
    history, child = delegating()
    history.child(child, "STARTED")
    if is_begun:
        history.task()
    _both(is_cancelled_first, history, lambda: history.child(child, "TERMINATED"))
    history.task()
    if not is_begun:
        history.missed(history.cancelled_another("team.coder.1.1"))
        history.task()
    history.done(history.asked("call_roll"), GONE)
    course = await ending(history)
    assert course.end == ("cancelled", 8)


async def test_a_cancel_while_it_is_found_out_what_a_lost_child_has_spent() -> None:
    """The answer is waited for."""
    history, child = delegating()
    history.child(child, "STARTED")
    history.task()
    history.child(child, "TERMINATED")
    history.task()
    roll = history.asked("call_roll")
    history.cancelled()
    history.task()
    history.done(roll, GONE)
    course = await ending(history)
    assert course.end == ("cancelled", 8)


@pytest.mark.parametrize("is_cancelled_first", [True, False])
async def test_a_child_that_begins(is_cancelled_first: bool) -> None:
    """It is cancelled, and its parent ends after it, with what it spent."""
    history, child = delegating()
    _both(is_cancelled_first, history, lambda: history.child(child, "STARTED"))
    history.task()
    history.reached(history.cancelled_another("team.coder.1.1"))
    history.task()
    history.child(child, "COMPLETED", CHILDS)
    course = await ending(history)
    assert course.end == ("cancelled", 8)


async def test_a_cancel_before_a_child_has_begun() -> None:
    """Its start is waited for: it cannot be cancelled before."""
    history, child = delegating()
    history.cancelled()
    history.task()
    history.child(child, "STARTED")
    history.task()
    history.reached(history.cancelled_another("team.coder.1.1"))
    history.child(child, "COMPLETED", CHILDS)
    course = await ending(history)
    assert course.end == ("cancelled", 8)


@pytest.mark.parametrize("is_cancelled_first", [True, False])
async def test_a_message_to_a_run_that_is_about_to_continue_as_new(
    is_cancelled_first: bool,
) -> None:
    """Signals are taken in first: the run must not be gone when the cancel is."""
    history, timer = waiting()
    _both(is_cancelled_first, history, lambda: history.signalled("deliver", MESSAGE))
    history.task(is_long=True)
    history.woken(timer)
    history.upserted()
    history.upserted()
    history.asked("close_run")
    course = await history.replay()
    assert not course.continued
    assert course.end[0] == "cancelled"


@pytest.mark.parametrize("is_cancelled_first", [True, False])
async def test_an_ask_to_a_team_that_is_about_to_continue_as_new(is_cancelled_first: bool) -> None:
    """The team cancels its members, and ends after them."""
    history = leading()
    lead = history.delegated("team.lead.1")
    history.child(lead, "STARTED")
    history.task()
    ask = Ask(
        member="nobody",
        run="run",
        execution="execution",
        number=1,
        tool="send_message",
        turn="",
        call="",
        arguments={},
        read=0,
    )
    _both(is_cancelled_first, history, lambda: history.signalled("ask", ask))
    history.task(is_long=True)
    history.reached(history.cancelled_another("team.lead.1"))
    history.task(is_last=True)
    course = await history.replay()
    assert not course.continued


@pytest.mark.parametrize("is_cancelled_first", [True, False])
async def test_a_workspace_that_has_opened_is_closed(is_cancelled_first: bool) -> None:
    """When the lead, which was about to begin, has ended."""
    history = leading(TEAM.model_copy(update={"shared_workspace": True}))
    asked = history.asked("open_sandbox")
    _both(is_cancelled_first, history, lambda: history.done(asked, PLACE))
    history.task()
    lead = history.delegated("team.lead.1")
    history.child(lead, "STARTED")
    history.task()
    history.reached(history.cancelled_another("team.lead.1"))
    report = Report(member="lead", workflow_id="team.lead.1", run="r", result=CHILDS, read=0)
    history.signalled("report", report)
    history.task()
    history.upserted()
    history.upserted()
    history.done(history.asked("close_sandbox", PLACE.queue))
    history.task()
    history.asked("close_run")
    course = await history.replay()
    assert course.end == ("cancelled", 7)


async def test_members_that_never_began_are_not_waited_for() -> None:
    """A roll call finds out at once that there are none."""
    history, asked = opening_workspace()
    history.stopped(asked)
    course = await nobody_began(history)
    assert course.end[0] == "cancelled"


async def test_a_sandbox_that_no_call_has_used_is_carried() -> None:
    """A run that continues as new finds it again, and closes it in the end."""
    history, think = thinking(PLAN.model_copy(update={"executes": True}))
    history.done(history.asked("open_sandbox"), PLACE)
    history.task()
    history.done(think, decision("wait", seconds=60))
    history.task()
    history.upserted()
    woken_when_long(history, history.slept())
    moment = history.slept()
    history.fired(moment)
    history.task(is_long=True, is_last=True)
    course = await history.replay()
    (request,) = course.continued
    assert request.progress is not None
    assert request.progress.place == PLACE


async def test_a_sandbox_that_is_being_opened_is_not_forgotten() -> None:
    """The run continues as new at a later step, when it is open."""
    history, think = thinking(PLAN.model_copy(update={"executes": True}))
    history.asked("open_sandbox")
    history.done(think, decision("wait", seconds=60))
    history.task()
    history.upserted()
    woken_when_long(history, history.slept())
    history.asked("think")
    history.task(is_long=True, is_last=True)
    course = await history.replay()
    assert not course.continued


async def test_a_cancel_that_comes_with_the_end_of_a_pause() -> None:
    """A run that is about to continue as new waits with that until its next step."""
    history, timer = waiting()
    woken_when_long(history, timer)
    moment = history.slept()
    history.signalled("deliver", Delivery(first=2, parcels=(Parcel(kind="pause"),)))
    history.fired(moment)
    history.task(is_long=True)
    history.upserted()
    history.signalled("deliver", Delivery(first=3, parcels=(Parcel(kind="resume"),)))
    history.cancelled()
    history.task(is_long=True)
    history.upserted()
    history.upserted()
    history.asked("close_run", taken_back=1)
    course = await history.replay()
    assert not course.continued
    assert course.end[0] == "cancelled"


async def test_a_team_that_is_being_opened_starts_nobody() -> None:
    """It was recorded all the same, and its end is recorded after that."""
    history, asked = opening("TeamWorkflow")
    history.done(asked, TEAM)
    course = await ending(history)
    assert course.end[0] == "cancelled"


@pytest.mark.parametrize("workflow", ["AgentWorkflow", "TeamWorkflow"])
async def test_what_cannot_be_opened_when_it_is_cancelled_is_closed(workflow: str) -> None:
    """Its record may be there: the worker may have died after it had written it."""
    history, asked = opening(workflow)
    history.timed_out(asked)
    course = await ending(history)
    assert course.end[0] == "cancelled"


async def test_a_workspace_that_cannot_be_opened_when_its_team_is_cancelled() -> None:
    """The team was cancelled, and did not fail."""
    history, asked = opening_workspace()
    history.failed(asked)
    course = await nobody_began(history)
    assert course.end[0] == "cancelled"


async def test_a_run_that_is_being_opened_is_recorded_before_its_end() -> None:
    """Else its record could come after its end, and say for ever that it runs."""
    history, asked = opening("AgentWorkflow")
    history.done(asked, PLAN)
    opened = history.length
    course = await ending(history)
    assert course.end == ("cancelled", 0)
    assert course.ended_after > opened


def _both(is_cancelled_first: bool, history: History, news: Callable[[], None]) -> None:
    if is_cancelled_first:
        history.cancelled()
    news()
    if not is_cancelled_first:
        history.cancelled()
