"""Every task ends once, after all that it needs, whoever takes, loses, fails or cancels it."""

from collections.abc import Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from perdure.contracts import Argument
from perdure.teams.contracts import TaskStatus, TeamTask
from workflows.ledger import Ledger, LedgerError

MEMBERS = {
    "coder-1": "coder",
    "coder-2": "coder",
    "coder-3": "coder",
    "reviewer": "reviewer",
}
KNOWN = sorted({*MEMBERS, *MEMBERS.values()})


def make_task(id: str, *needs: str, to: str = "coder") -> TeamTask:
    text = Argument(turn="t-1", call="c", path=("tasks", 0, "task"))
    return TeamTask(id=id, to=to, about=f"do {id}", text=text, depends_on=needs)


def make_ledger(*tasks: TeamTask) -> Ledger:
    ledger = Ledger()
    ledger.add(tasks, KNOWN)
    return ledger


def ids(tasks: Iterable[TeamTask]) -> list[str]:
    return [task.id for task in tasks]


def statuses(ledger: Ledger) -> dict[str, str]:
    return {task.id: str(task.status) for task in ledger.tasks}


class TeamAtWork(RuleBasedStateMachine):
    """A lead adds and cancels, members work, fail and are lost, and some reports come twice."""

    @initialize()
    def begin(self) -> None:
        self.ledger = Ledger()
        self.working: dict[str, str] = {}
        self.out: set[str] = set()
        self.ended: dict[str, TeamTask] = {}
        self.told: list[str] = []

    # The lead

    @rule(data=st.data(), count=st.integers(1, 6))
    def add(self, data: st.DataObject, count: int) -> None:
        existing = [task for task in self.ledger.tasks if task.status in _MAY_BE_NEEDED]
        first = len(self.ledger.tasks)
        tasks: list[TeamTask] = []
        for number in range(first, first + count):
            known = st.sampled_from(ids([*existing, *tasks]) or [""])
            needs = data.draw(st.lists(known, max_size=3)) if existing or tasks else []
            to = data.draw(st.sampled_from(KNOWN))
            tasks.append(make_task(f"t{number}", *needs, to=to))
        self.ledger.add(data.draw(st.permutations(tasks)), KNOWN)

    @precondition(lambda self: self.ledger.tasks)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        some = data.draw(st.lists(st.sampled_from(ids(self.ledger.tasks)), max_size=2))
        stopped = self.ledger.cancel(some, "not wanted")
        assert all(self.ledger.task(id).status.is_over for id in some)
        for task in stopped:
            assert self.working.pop(task.member) == task.id
            assert task.status is TaskStatus.CANCELLED
        assert all(not self.ledger.task(id).status.is_over for id in self.working.values())

    @rule()
    def tell(self) -> None:
        news = ids(self.ledger.untold())
        assert set(news) == set(self.ended) - set(self.told)
        self.ledger.told(news)
        self.told.extend(news)

    # The members

    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        for member in data.draw(st.permutations(self.free)):
            task = self.ledger.ready(MEMBERS[member], member)
            assert task == self._next(member)
            if task is not None:
                self.ledger.start(task.id, member)
                self.working[member] = task.id

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        member, id = data.draw(st.sampled_from(sorted(self.working.items())))
        del self.working[member]
        self.ledger.done(id, f"run of {id}", f"answer of {id}")
        assert self.ledger.task(id).outcome == f"answer of {id}"

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        member, id = data.draw(st.sampled_from(sorted(self.working.items())))
        del self.working[member]
        ending = {id, *self._needing(id)} - set(self.ended)
        failed = self.ledger.fail(id, "it broke")
        assert (failed[0].id, failed[0].outcome) == (id, "it broke")
        assert {each.id for each in failed} == ending

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def lose_a_member(self, data: st.DataObject) -> None:
        member, id = data.draw(st.sampled_from(sorted(self.working.items())))
        del self.working[member]
        self.out.add(member)
        self.ledger.put_back(id, member, MEMBERS[member])
        self.ledger.hand_on(member, MEMBERS[member])
        assert all(task.to != member or member in MEMBERS.values() for task in self.waiting)
        task = self.ledger.ready(MEMBERS[member], member)
        assert task is None or task.id != id

    @rule()
    def let_the_lost_come_back(self) -> None:
        self.out.clear()

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def report_an_end_again(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.ended)))
        before = self.ledger.tasks
        self.ledger.done(id, "late", "late")
        self.ledger.put_back(id, "coder-1", "coder")
        assert self.ledger.fail(id, "late") == ()
        assert self.ledger.tasks == before

    @rule()
    def continue_as_new(self) -> None:
        carried = [task.model_dump_json() for task in self.ledger.tasks]
        self.ledger = Ledger(TeamTask.model_validate_json(each) for each in carried)

    # What always holds

    @invariant()
    def what_is_over_stays_as_it_ended(self) -> None:
        for task in self.ledger.tasks:
            if task.status.is_over:
                kept = task.model_copy(update={"is_told": False})
                assert self.ended.setdefault(task.id, kept) == kept
        assert len(self.ended) + len(self.ledger.open) == len(self.ledger.tasks)

    @invariant()
    def what_is_worked_on_has_all_that_it_needs(self) -> None:
        running = {t.member: t.id for t in self.ledger.tasks if t.status is TaskStatus.RUNNING}
        assert running == self.working
        for task in self.ledger.tasks:
            needed = {self.ledger.task(id).status for id in task.depends_on}
            if task.status in {TaskStatus.RUNNING, TaskStatus.DONE}:
                assert needed <= {TaskStatus.DONE}
            if task.status is TaskStatus.WAITING:
                assert needed <= _MAY_BE_NEEDED

    @invariant()
    def a_rebuilt_ledger_offers_the_same(self) -> None:
        other = Ledger(self.ledger.tasks)
        for member, kind in MEMBERS.items():
            assert other.ready(kind, member) == self.ledger.ready(kind, member)
        assert (other.tasks, other.open) == (self.ledger.tasks, self.ledger.open)
        assert other.untold() == self.ledger.untold()

    def teardown(self) -> None:
        """At last all members work: then every task comes to its end, but what all have lost."""
        for member in sorted(self.working):
            self.ledger.done(self.working.pop(member), "run", "answer")
        for _ in self.ledger.tasks:
            for member in MEMBERS:
                self._do_the_next(member)
        lost = [task.id for task in self.ledger.open if not self._may_be_taken(task)]
        excused = {*lost, *(id for each in lost for id in self._needing(each))}
        assert {task.id for task in self.ledger.open} <= excused

    def _do_the_next(self, member: str) -> None:
        task = self.ledger.ready(MEMBERS[member], member)
        if task is not None:
            self.ledger.start(task.id, member)
            self.ledger.done(task.id, "run", "answer")

    def _may_be_taken(self, task: TeamTask) -> bool:
        return any(
            task.to in {member, kind} and member not in task.lost
            for member, kind in MEMBERS.items()
        )

    @property
    def waiting(self) -> list[TeamTask]:
        return [task for task in self.ledger.tasks if task.status is TaskStatus.WAITING]

    @property
    def free(self) -> list[str]:
        return [each for each in MEMBERS if each not in self.working and each not in self.out]

    def _next(self, member: str) -> TeamTask | None:
        """The rule of `ready`, without any index."""
        for to in (member, MEMBERS[member]):
            for task in self.waiting:
                needed = {self.ledger.task(id).status for id in task.depends_on}
                if task.to == to and needed <= {TaskStatus.DONE} and member not in task.lost:
                    return task
        return None

    def _needing(self, id: str) -> set[str]:
        """All that need the task, and all that need those."""
        found = {id}
        while more := {t.id for t in self.ledger.tasks if found & {*t.depends_on}} - found:
            found |= more
        return found - {id}


_MAY_BE_NEEDED = {TaskStatus.WAITING, TaskStatus.RUNNING, TaskStatus.DONE}


class TestTeamAtWork(TeamAtWork.TestCase):  # type: ignore[valid-type, misc]  # hypothesis makes it
    """However a team works, each task ends once, after all that it needs."""

    settings = settings(stateful_step_count=30)


def test_a_task_for_a_member_comes_before_one_for_its_kind() -> None:
    """Whoever was named cannot be helped by others; then the order of adding decides."""
    ledger = make_ledger(make_task("a"), make_task("b"), make_task("own", to="coder-2"))
    assert [
        ledger.ready("coder", member) == ledger.task(id)
        for member, id in (("coder-1", "a"), ("coder-2", "own"))
    ] == [True, True]
    assert ledger.ready("reviewer", "reviewer") is None


def test_a_lost_task_waits_for_another_of_the_kind_at_its_old_place() -> None:
    """Also one that was for the lost member alone."""
    ledger = make_ledger(make_task("own", to="coder-1"), make_task("later"))
    ledger.start("own", "coder-1")
    ledger.put_back("own", "coder-1", "coder")
    assert ledger.task("own").lost == ("coder-1",)
    assert ids([each for each in [ledger.ready("coder", "coder-2")] if each]) == ["own"]
    assert ids([each for each in [ledger.ready("coder", "coder-1")] if each]) == ["later"]


def test_a_rebuilt_ledger_knows_what_is_ready_before_what_it_needs() -> None:
    """A task may come before one that it needs, which is done by then."""
    ledger = make_ledger(make_task("b", "a"), make_task("a"))
    ledger.start("a", "coder-1")
    ledger.done("a", "run-1", "done")
    assert Ledger(ledger.tasks).ready("coder", "coder-1") == ledger.task("b")


def test_what_waits_for_a_lost_member_alone_is_handed_on() -> None:
    """Whether it is ready or not; what the member works on is another matter."""
    own = [make_task(id, *needs, to="coder-1") for id, *needs in (("a",), ("b",), ("c", "a"))]
    ledger = make_ledger(*own, make_task("other", to="coder-3"))
    ledger.start("a", "coder-1")
    ledger.hand_on("coder-1", "coder")
    assert [task.to for task in ledger.tasks] == ["coder-1", "coder", "coder", "coder-3"]
    assert ledger.ready("coder", "coder-2") == ledger.task("b")


def test_a_failed_task_keeps_what_its_run_has_left() -> None:
    """The run's answer is the best there is; what needed the task has none."""
    ledger = make_ledger(make_task("a"), make_task("b", "a"))
    ledger.start("a", "coder-1")
    assert [task.run for task in ledger.fail("a", "out of steps", "run-1")] == ["run-1", None]


def test_what_needs_a_failed_task_fails_and_says_why() -> None:
    """Each names the task that it lacks itself; others go on."""
    ledger = make_ledger(make_task("a"), make_task("b", "a"), make_task("c", "b"), make_task("d"))
    ledger.start("a", "coder-1")
    failed = ledger.fail("a", "out of steps")
    assert [(each.id, each.outcome) for each in failed] == [
        ("a", "out of steps"),
        ("b", "needs 'a', which failed"),
        ("c", "needs 'b', which failed"),
    ]
    assert statuses(ledger) == {"a": "failed", "b": "failed", "c": "failed", "d": "waiting"}


def test_cancelling_gives_back_what_is_to_be_stopped() -> None:
    """What needs a cancelled task is cancelled with it; only running ones need to be stopped."""
    ledger = make_ledger(make_task("a"), make_task("b"), make_task("c", "b"), make_task("d"))
    ledger.start("a", "coder-1")
    assert ids(ledger.cancel(["a", "b"], "not wanted")) == ["a"]
    assert statuses(ledger) == {
        "a": "cancelled",
        "b": "cancelled",
        "c": "cancelled",
        "d": "waiting",
    }
    assert ledger.task("c").outcome == "needs 'b', which was cancelled"


def test_nothing_is_cancelled_when_one_of_the_ids_is_unknown() -> None:
    """The lead is told which, and what it may have meant."""
    ledger = make_ledger(make_task("schema"))
    with pytest.raises(LedgerError, match=r"Task 'shema' is unknown\. Did you mean 'schema'\?"):
        ledger.cancel(["schema", "shema"], "not wanted")
    assert statuses(ledger) == {"schema": "waiting"}


def test_nothing_is_added_when_one_task_is_refused() -> None:
    """All of a batch or none of it: the lead corrects it and assigns it again."""
    ledger = make_ledger(make_task("a"))
    with pytest.raises(LedgerError, match="Nobody called 'codr'"):
        ledger.add([make_task("b"), make_task("c", to="codr")], KNOWN)
    assert ids(ledger.tasks) == ["a"]
    ledger.add([make_task("b", "c"), make_task("c")], KNOWN)
    assert ids(ledger.tasks) == ["a", "b", "c"]


def test_a_task_starts_only_when_it_is_ready() -> None:
    """Nobody can begin what still needs another, or what somebody has begun."""
    ledger = make_ledger(make_task("a"), make_task("b", "a"))
    ledger.start("b", "coder-1")
    ledger.start("a", "coder-1")
    ledger.start("a", "coder-2")
    assert statuses(ledger) == {"a": "running", "b": "waiting"}
    assert ledger.task("a").member == "coder-1"


def test_the_lead_is_told_of_those_it_asks_for() -> None:
    """Others wait until it asks for them, or for all."""
    ledger = make_ledger(make_task("a"), make_task("b"), make_task("c"))
    ledger.cancel(["a", "b"], "not wanted")
    assert ids(ledger.untold(["b", "c"])) == ["b"]
    ledger.told(["b"])
    assert ids(ledger.untold()) == ["a"]


def test_a_table_shows_what_a_task_still_needs() -> None:
    """The dependencies are looked up in the whole ledger."""
    ledger = make_ledger(make_task("a"), make_task("b", "a"))
    assert ledger.table([ledger.task("b")]) == "b · waiting · coder · needs a · do b"
