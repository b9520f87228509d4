"""What is refused when tasks are added, and in which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.contracts import Argument
from perdure.teams.contracts import TaskStatus, TeamTask
from workflows.assignment import MOST_TASKS, problem

KNOWN = {"coder", "coder-1", "coder-2", "reviewer"}


def make_task(id: str, *needs: str, to: str = "coder", status: str = "waiting") -> TeamTask:
    text = Argument(turn="t-1", call="c", path=("task",))
    state = TaskStatus(status)
    return TeamTask(id=id, to=to, about="", text=text, depends_on=needs, status=state)


LEDGER = {
    task.id: task
    for task in (
        make_task("done", status="done"),
        make_task("running", status="running"),
        make_task("failed", status="failed"),
        make_task("cancelled", status="cancelled"),
    )
}


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ([make_task("done")], "There is a task 'done' already."),
        ([make_task("a"), make_task("a")], "There is a task 'a' already."),
        (
            [make_task("a", to="codr")],
            "Nobody called 'codr' can take task 'a'. Did you mean 'coder'? Known: coder, coder-1,",
        ),
        ([make_task("a", "dune")], "needs 'dune', which is unknown. Did you mean 'done'?"),
        ([make_task("a", "failed")], "Task 'a' needs 'failed', which failed."),
        ([make_task("a", "cancelled")], "Task 'a' needs 'cancelled', which was cancelled."),
        ([make_task("a", "a")], "in a circle: 'a' needs 'a'."),
        (
            [make_task("x"), make_task("a", "b"), make_task("b", "c"), make_task("c", "a", "x")],
            "in a circle: 'c' needs 'a' needs 'b' needs 'c'.",
        ),
    ],
    ids=["taken", "twice", "nobody", "unknown", "failed", "cancelled", "itself", "circle"],
)
def test_a_refusal_names_the_task_and_the_reason(wanted: list[TeamTask], words: str) -> None:
    """The lead's model reads it, and corrects what it asked for."""
    assert words in (problem(wanted, LEDGER, KNOWN) or "")


def test_a_task_may_need_what_is_done_or_may_still_be_done() -> None:
    """In the ledger or in the same batch, in whatever order."""
    wanted = [make_task("a", "done", "running", "b"), make_task("b", to="coder-2")]
    assert problem(wanted, LEDGER, KNOWN) is None


def test_a_ledger_has_an_end() -> None:
    """Its last tasks are added, and one more is refused with both numbers."""
    room = MOST_TASKS - len(LEDGER)
    wanted = [make_task(f"t{number}") for number in range(room + 1)]
    assert problem(wanted[:-1], LEDGER, KNOWN) is None
    assert "holds 4 tasks, and with 1,497 more" in (problem(wanted, LEDGER, KNOWN) or "")


@given(st.data(), st.integers(1, 12))
def test_exactly_circles_are_refused(data: st.DataObject, count: int) -> None:
    """Whatever needs only those before it, in some order, is accepted; one need back is not."""
    order = data.draw(st.permutations([f"t{number}" for number in range(count)]))
    needs = {
        id: data.draw(st.sets(st.sampled_from(order[:place]))) if place else set()
        for place, id in enumerate(order)
    }
    wanted = [make_task(id, *sorted(needs[id])) for id in sorted(order)]
    assert problem(wanted, {}, KNOWN) is None
    last = data.draw(st.sampled_from(order))
    first = min((id for id in order if id == last or _needs(needs, last, id)), key=order.index)
    circular = [
        make_task(id, *sorted(needs[id] | ({last} if id == first else set()))) for id in order
    ]
    assert "circle" in (problem(circular, {}, KNOWN) or "")


def _needs(needs: dict[str, set[str]], id: str, other: str) -> bool:
    return other in needs[id] or any(_needs(needs, each, other) for each in needs[id])
