"""A team's state, driven by hand: who is started, restarted, put out, and what is owed to whom."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perdure.contracts import (
    AgentResult,
    Ask,
    Delivery,
    Entry,
    Limits,
    Parcel,
    Report,
    RunStatus,
    Spent,
    Usage,
)
from perdure.teams.contracts import (
    MemberPlan,
    Present,
    Supervision,
    TaskStatus,
    TeamPlan,
    TeamProgress,
)
from workflows.answers import answer, answer_waiting
from workflows.crew import Crew
from workflows.endings import check, take
from workflows.staffing import Start, starts

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Table:
    """A crew whose runs are played by the test."""

    def __init__(
        self,
        members: int = 2,
        limits: Limits | None = None,
        own: Limits | None = None,
        progress: TeamProgress | None = None,
        **rules: Any,
    ) -> None:
        self.now = NOW
        plan = TeamPlan(
            run="run",
            team="crew",
            goal="the goal",
            lead=_plan("chief", "chief", Limits()),
            members=tuple(
                _plan(f"worker-{n}", "worker", own or Limits()) for n in range(1, members + 1)
            ),
            limits=limits or Limits(),
            lead_share=0.25,
            supervision=Supervision(**rules),
            shared_workspace=False,
            executes=False,
        )
        self.crew = Crew("team", plan, NOW, progress)
        self.replies: list[Parcel] = []

    def start(self) -> dict[str, Start]:
        return {each.member.name: each for each in starts(self.crew, self.now)}

    def assign(self, *tasks: tuple[str, str] | str) -> None:
        wanted = [
            {"id": each, "to": "worker", "task": each}
            if isinstance(each, str)
            else {"id": each[0], "to": each[1], "task": each[0]}
            for each in tasks
        ]
        self.ask("assign", tasks=wanted)
        assert self.replies[-1].is_ok

    def ask(self, tool: str, by: str = "chief", read: int = 0, **arguments: Any) -> None:
        """Ask for something; the replies that follow, at once or later, are in `replies`."""
        member = self.crew.members[by]
        answer(
            self.crew,
            Ask(
                member=by,
                run=member.workflow_id,
                execution="execution",
                number=member.asked + 1,
                tool=tool,
                turn="turn",
                call="call",
                arguments=arguments,
                read=read,
                spent=Spent(),
            ),
            self.now,
        )
        answer_waiting(self.crew, self.now)
        self.deliver()

    def deliver(self) -> dict[str, Delivery]:
        """Send what is to be sent."""
        sent = dict(self.crew.deliveries())
        for name, delivery in sent.items():
            self.crew.mail[name].sent(delivery.first + len(delivery.parcels) - 1)
            self.replies += [each for each in delivery.parcels if each.kind == "reply"]
        return sent

    def end(
        self,
        name: str,
        status: RunStatus = RunStatus.COMPLETED,
        reason: str = "",
        head: str | None = "head",
        read: int = 0,
        **fields: Any,
    ) -> None:
        """The member's present run reports its end."""
        result = AgentResult(
            status=status, answer="answer", reason=reason, head=head, steps=1, usage=Usage()
        )
        report = Report(
            member=name,
            workflow_id=self.crew.members[name].workflow_id,
            run=f"run of {self.crew.members[name].workflow_id}",
            result=result,
            read=read,
            **fields,
        )
        take(self.crew, report, self.now)
        answer_waiting(self.crew, self.now)

    def fail(self, name: str, reason: str = "it broke", **fields: Any) -> None:
        self.end(name, RunStatus.FAILED, reason, **fields)

    def find_silent(self, name: str, seconds: float) -> None:
        """A roll call finds that the member's run has recorded nothing for so long."""
        assert check(self.crew, present(self, name, silent_seconds=seconds), self.now) is None

    def told(self) -> str:
        """What the lead is told in its mail."""
        return "\n".join(each.text for each in self.crew.mail["chief"].mail.parcels)

    def statuses(self) -> list[str]:
        return [str(each.status) for each in self.crew.ledger.tasks]


def _plan(name: str, kind: str, limits: Limits) -> MemberPlan:
    return MemberPlan(name=name, kind=kind, model="m", limits=limits)


def at_work(*tasks: tuple[str, str] | str, **fields: Any) -> Table:
    """The lead has assigned the tasks, and members have taken them."""
    table = Table(**fields)
    table.start()
    table.assign(*tasks)
    table.started = table.start()  # type: ignore[attr-defined]
    return table


# Who begins what


def test_the_lead_begins_and_members_begin_when_there_are_tasks() -> None:
    """Each takes one, in the order of the roster and of the ledger."""
    table = Table()
    assert list(table.start()) == ["chief"]
    table.assign("a", "b", "c")
    assert {name: each.task and each.task.id for name, each in table.start().items()} == {
        "worker-1": "a",
        "worker-2": "b",
    }
    table.end("worker-2")
    assert [each.task and each.task.id for each in table.start().values()] == ["c"]


def test_a_run_id_is_never_used_twice() -> None:
    """A member's runs are numbered through restarts and tasks."""
    table = at_work("a", members=1)
    ids = {table.crew.members["worker-1"].workflow_id}
    for _ in range(3):
        table.fail("worker-1")
        (started,) = table.start().values()
        ids.add(started.member.workflow_id)
    assert ids == {f"team.worker-1.{n}" for n in range(1, 5)}


def test_a_report_that_comes_twice_counts_once() -> None:
    """Neither the purse nor the ledger nor the failures take it in again."""
    table = at_work("a", members=1)
    before = table.crew.members["worker-1"].workflow_id
    table.fail("worker-1")
    take(
        table.crew,
        Report(
            member="worker-1",
            workflow_id=before,
            run=None,
            result=AgentResult(
                status=RunStatus.FAILED, answer="", head=None, steps=7, usage=Usage()
            ),
            read=0,
        ),
        NOW,
    )
    assert len(table.crew.members["worker-1"].failures) == 1
    assert table.crew.purse.spent == Spent(steps=1)


# Restarts


def test_a_restarted_run_goes_on_from_the_last_turn() -> None:
    """It is told why, and has what its next think was to be shown."""
    table = at_work("a", members=1)
    result = Entry(kind="result", call="c", id="e-1")
    table.fail("worker-1", head="t-5", unshown=(result,))
    (again,) = table.start().values()
    assert (again.member.head, again.task and again.task.id) == ("t-5", "a")
    assert again.restarted == "failed: it broke."
    assert again.unshown == (result,)


def test_a_run_that_was_shown_nothing_yet_is_begun_anew() -> None:
    """Its model knows nothing of the task, so it is no restart to it, however often it fails."""
    table = at_work("a", "b", members=1)
    table.end("worker-1", head="t-5")
    table.start()
    for _ in range(2):
        table.fail("worker-1", head="t-5")
        (again,) = table.start().values()
        assert (again.task and again.task.id, again.restarted) == ("b", "")
    table.fail("worker-1", head="t-6")
    table.fail("worker-1", head="t-6")
    (again,) = table.start().values()
    assert again.restarted


def test_what_was_not_shown_is_kept_for_no_other_task() -> None:
    """The results belong to the calls of the run that made them."""
    table = at_work("a", "b", members=1)
    table.end("worker-1", unshown=(Entry(kind="result", call="c", id="e-1"),))
    (other,) = table.start().values()
    assert other.unshown == ()


def test_a_member_that_fails_too_often_is_out_and_its_task_goes_to_another() -> None:
    """The lead is told who, why, and what follows."""
    table = at_work("a", max_restarts=1)
    for _ in range(2):
        table.fail("worker-1", "no key")
        started = table.start()
    assert {name: each.task and each.task.id for name, each in started.items()} == {"worker-2": "a"}
    assert started["worker-2"].restarted == ""
    told = table.told()
    assert "worker-1 is out: it failed too often" in told
    assert "failed: no key" in told
    assert "Task 'a' is given to another worker." in told


def test_failures_before_the_period_do_not_count() -> None:
    """A member that fails now and then stays."""
    table = at_work("a", members=1, max_restarts=1, within_minutes=1)
    for _ in range(5):
        table.fail("worker-1")
        table.start()
        table.now += timedelta(minutes=2)
    assert table.crew.members["worker-1"].standing == "working"


def test_a_task_for_a_member_that_is_out_goes_to_its_kind() -> None:
    """Else nobody would ever take it, and the lead would wait for ever."""
    table = at_work(("a", "worker-1"), ("b", "worker-1"), max_restarts=0)
    table.fail("worker-1")
    for id in ("a", "b"):
        (taken,) = table.start().values()
        assert (taken.member.name, taken.task and taken.task.id) == ("worker-2", id)
        table.end("worker-2")


def test_when_all_of_a_kind_are_out_its_tasks_fail() -> None:
    """Those for the kind and those for its members by name; the lead that waits is told."""
    table = at_work("a", ("b", "worker-1"), "c", members=1, max_restarts=0)
    table.ask("wait_for_tasks")
    table.fail("worker-1")
    assert table.statuses() == ["failed"] * 3
    assert "No worker is left" in table.told()
    assert "c · failed" in table.told()
    table.start()
    table.ask("assign", tasks=[{"id": "d", "to": "worker", "task": "d"}])
    assert "Nobody called 'worker'" in table.told()


def test_a_task_that_puts_out_three_members_has_failed() -> None:
    """It poisons whom it is given to: the others go on without it."""
    table = at_work("poison", members=4, max_restarts=0)
    for _ in range(3):
        (name,) = [each.name for each in table.crew.at_work if each.name != "chief"]
        table.fail(name)
        table.start()
    assert table.statuses() == ["failed"]
    assert "it has put out 3 members" in table.told()
    assert table.crew.members["worker-4"].standing == "free"


@pytest.mark.parametrize(
    ("strategy", "stopped"),
    [
        ("one_for_one", []),
        ("one_for_all", ["worker-1", "worker-3"]),
        ("rest_for_one", ["worker-3"]),
    ],
)
def test_a_strategy_stops_those_at_work_to_restart_them(strategy: str, stopped: list[str]) -> None:
    """They go on from their last turns, and it does not count as their failure."""
    table = at_work("a", "b", "c", members=4, strategy=strategy)
    table.fail("worker-2")
    assert [each.name for each in table.crew.stops()] == stopped
    assert table.crew.stops() == []
    for name in stopped:
        table.end(name, RunStatus.CANCELLED, "The run was cancelled.", head=f"t-{name}")
    started = table.start()
    assert sorted(started) == sorted([*stopped, "worker-2"])
    for name in stopped:
        assert started[name].restarted == "worker-2 failed."
        assert started[name].member.head == f"t-{name}"
        assert started[name].member.failures == ()


def test_one_that_ended_while_it_was_to_be_stopped_is_done() -> None:
    """Its result counts, and nothing is done again."""
    table = at_work("a", "b", strategy="one_for_all")
    table.fail("worker-2")
    table.crew.stops()
    table.end("worker-1")
    assert table.statuses() == ["done", "running"]
    assert list(table.start()) == ["worker-2"]


def test_a_lead_that_fails_is_restarted_and_told_how_its_tasks_stand() -> None:
    """What a reply to its earlier run said may be lost to it."""
    table = at_work("a", "b")
    table.ask("wait_for_tasks", tasks=["a"])
    table.end("worker-1")
    table.deliver()
    table.fail("chief", head="t-3")
    started = table.start()["chief"]
    assert (started.member.head, started.restarted) == ("t-3", "failed: it broke.")
    told = "\n".join(each.text for each in started.parcels)
    assert "a · done · worker-1 · answer" in told
    assert "b · running" in told
    assert table.crew.waiting is None


def test_a_lead_that_fails_too_often_ends_the_team_with_the_reason() -> None:
    """Nobody else could."""
    table = at_work("a", max_restarts=1)
    table.fail("chief")
    table.start()
    table.fail("chief", "no key")
    assert table.crew.result is not None
    assert (table.crew.result.status, table.crew.result.reason) == ("failed", "no key")


def test_a_lead_that_uses_up_its_part_ends_the_team_with_that_reason() -> None:
    """The limit that it names is not the one that was set for the team."""
    table = at_work("a")
    table.end("chief", RunStatus.OUT_OF_STEPS, "The run ended because the limit is reached.")
    assert table.crew.result is not None
    assert table.crew.result.reason.startswith("The lead has used up its part of the team's budget")


# Roll calls


def present(table: Table, name: str, **fields: Any) -> Present:
    known = {"run": "r", "is_over": False, "result": None, "spent": Spent(), "silent_seconds": 0.0}
    id = table.crew.members[name].workflow_id
    return Present.model_validate({"workflow_id": id} | known | fields)


def test_a_member_that_hangs_is_stopped_and_has_failed() -> None:
    """With the reason."""
    table = at_work("a", members=1, silence_minutes=5)
    table.find_silent("worker-1", 299)
    assert table.crew.stops() == []
    table.find_silent("worker-1", 301)
    assert [each.name for each in table.crew.stops()] == ["worker-1"]
    table.end("worker-1", RunStatus.CANCELLED, "The run was cancelled.", head="t-1")
    (again,) = table.start().values()
    assert again.restarted == "it has recorded nothing for 5 minutes."


@pytest.mark.parametrize("pauses", [True, False])
def test_who_was_silent_by_right_has_its_time_from_then_on(pauses: bool) -> None:
    """A member that waited, or was held with its team, has recorded nothing for long."""
    table = at_work("a", members=1, silence_minutes=5)
    table.crew.is_paused = pauses
    table.find_silent("worker-1", 9999 if pauses else 0)
    table.crew.is_paused = False
    table.now += timedelta(minutes=5)
    table.find_silent("worker-1", 9999)
    assert table.crew.stops() == []
    table.now += timedelta(seconds=1)
    table.find_silent("worker-1", 9999)
    assert [each.name for each in table.crew.stops()] == ["worker-1"]


def test_a_roll_call_of_an_earlier_run_says_nothing() -> None:
    """The member may have begun another meanwhile."""
    table = at_work("a", members=1)
    earlier = present(table, "worker-1", is_over=True, silent_seconds=10**6)
    table.fail("worker-1")
    table.start()
    assert check(table.crew, earlier, table.now) is None
    assert table.crew.stops() == []


# Ends


def test_nothing_stays_open_when_the_team_ends_while_a_member_is_to_be_restarted() -> None:
    """Whichever comes first, the end or the news that the member's run has stopped."""
    table = at_work("a", "b", strategy="one_for_all")
    table.fail("worker-2")
    table.crew.stops()
    table.ask("hand_over")
    assert table.crew.waiting is not None
    table.end("worker-1", RunStatus.CANCELLED, "The run was cancelled.")
    assert table.crew.waiting is None
    assert table.start() == {}
    assert all(TaskStatus(each).is_over for each in table.statuses())


def test_members_that_are_asked_to_end_leave_what_they_have() -> None:
    """Its beginning is in the news, and a pointer to all of it."""
    table = at_work("a", "b", "c", members=2)
    table.ask("hand_over")
    assert {
        name: [each.kind for each in box.mail.parcels] for name, box in table.crew.mail.items()
    }["worker-1"] == ["end"]
    for name in ("worker-1", "worker-2"):
        table.end(name, RunStatus.CANCELLED, "The run ended.")
    table.deliver()
    news = table.replies[-1]
    assert "a · failed · worker-1" in news.text
    assert "c · cancelled" in news.text
    assert len(news.quotes) == 2


def test_a_dismissed_crew_begins_nothing() -> None:
    """All that are at work are stopped, once."""
    table = at_work("a", "b", "c")
    table.crew.dismiss("The team ends.")
    assert [each.name for each in table.crew.stops()] == ["chief", "worker-1", "worker-2"]
    table.crew.dismiss("Again.")
    assert table.crew.stops() == []
    for name in ("chief", "worker-1", "worker-2"):
        table.end(name, RunStatus.CANCELLED, "The run was cancelled.")
    assert (table.start(), table.crew.at_work) == ({}, [])


# The purse


def test_shares_are_reserved_and_returned() -> None:
    """What is not spent is there for the next."""
    table = at_work("a", "b", limits=Limits(max_steps=100))
    assert table.crew.purse.reserved.keys() == {
        "team.chief.1",
        "team.worker-1.1",
        "team.worker-2.1",
    }
    for name in ("worker-1", "worker-2", "chief"):
        table.end(name)
    assert table.crew.purse.reserved == {}
    assert table.crew.purse.left(NOW).steps == 97
    assert table.crew.spent == table.crew.purse.spent


def test_a_budget_goes_as_far_as_it_goes() -> None:
    """More tasks than steps: as many are done as there are steps for, and then the rest fails."""
    table = at_work(*(f"t{n}" for n in range(40)), limits=Limits(max_steps=20))
    table.ask("wait_for_tasks")
    begun = 2
    while names := [each.name for each in table.crew.at_work if each.name != "chief"]:
        for name in names:
            table.end(name)
        begun += len(table.start())
        answer_waiting(table.crew, NOW)
    assert begun == table.statuses().count("done") == 15  # the lead may spend 5
    assert table.statuses().count("failed") == 25
    assert table.crew.waiting is None


def test_a_task_waits_for_budget_that_others_may_return() -> None:
    """It fails only when nobody holds any."""
    table = at_work("a", "b", "c", members=3, limits=Limits(max_steps=4))
    working = [each.name for each in table.crew.at_work]
    assert "failed" not in table.statuses()
    assert len(working) < 4
    for name in working[1:]:
        table.end(name)
    assert table.start()


def test_what_a_member_leaves_when_the_budget_ends_is_kept() -> None:
    """The task has failed, but its last run has said how far it came."""
    table = at_work("a", members=1, limits=Limits(max_tokens=100))
    share = table.crew.purse.reserved["team.worker-1.1"].max_tokens or 0
    result = AgentResult(
        status=RunStatus.OUT_OF_BUDGET,
        answer="half",
        reason="The run ended.",
        head="t-1",
        steps=1,
        usage=Usage(input_tokens=200),
    )
    assert share < 100
    take(
        table.crew,
        Report(member="worker-1", workflow_id="team.worker-1.1", run="r", result=result, read=0),
        NOW,
    )
    table.start()
    (task,) = table.crew.ledger.tasks
    assert (task.status, task.run) == ("failed", "r")


def test_a_lead_that_is_restarted_keeps_what_is_left_of_its_share() -> None:
    """Members cannot have taken it."""
    table = at_work("a", "b", limits=Limits(max_steps=100))
    table.fail("chief")
    assert table.start()["chief"].share.max_steps == 24


# Continue-as-new


def test_a_crew_is_the_same_after_it_was_carried() -> None:
    """Whatever it is at: nothing of it is lost."""
    table = at_work("a", ("b", "worker-1"), "c", limits=Limits(max_steps=100))
    table.ask("wait_for_tasks", tasks=["a", "b"])
    table.ask("send_message", by="worker-1", to="worker-2", text="hi")
    table.crew.tell("chief", "hello")
    table.fail("worker-2")
    table.crew.is_paused = True
    carried = TeamProgress.model_validate_json(table.crew.carried(None).model_dump_json())
    again = Crew("team", carried.plan, carried.started, carried)
    assert again.carried(None) == table.crew.carried(None)
    again.is_paused = False
    table.crew.is_paused = False
    assert list(starts(again, NOW)) == list(starts(table.crew, NOW))
