"""Tasks and names as a model reads them: a line each, and a few lines for very many."""

from hypothesis import given
from hypothesis import strategies as st

from perdure.contracts import Argument
from perdure.teams.contracts import TaskStatus, TeamTask
from workflows.listing import some, table

COUNTS = st.fixed_dictionaries({status: st.integers(0, 60) for status in TaskStatus})


def make_task(id: str, status: TaskStatus, *needs: str, outcome: str = "") -> TeamTask:
    return TeamTask(
        id=id,
        to="coder",
        about="the schema\nof the shop",
        text=Argument(turn="t-1", call="c", path=("task",)),
        depends_on=needs,
        status=status,
        member="" if status is TaskStatus.WAITING else "coder-1",
        outcome=outcome,
    )


def test_a_line_says_how_a_task_stands_and_with_whom() -> None:
    """How it ended, or what it is about; of one that waits, what it still needs."""
    tasks = (
        make_task("a", TaskStatus.DONE, outcome="12\n tables"),
        make_task("b", TaskStatus.RUNNING, "a"),
        make_task("c", TaskStatus.WAITING, "a", "b"),
        make_task("d", TaskStatus.FAILED, outcome="out of steps"),
        make_task("e", TaskStatus.FAILED, "d", outcome="needs 'd', which failed"),
    )
    assert table(tasks, {task.id: task for task in tasks}).splitlines() == [
        "a · done · coder-1 · 12 tables",
        "b · running · coder-1 · the schema of the shop",
        "c · waiting · coder · needs b · the schema of the shop",
        "d · failed · coder-1 · out of steps",
        "e · failed · coder-1 · needs 'd', which failed",
    ]


def test_no_tasks_are_said_to_be_none() -> None:
    """An empty answer would leave the model to guess."""
    assert table([], {}) == "There are no tasks."


@given(COUNTS)
def test_a_table_has_fifty_lines_at_most_and_counts_every_task(
    counts: dict[TaskStatus, int],
) -> None:
    """What has no line of its own is in the number of its status."""
    tasks = [make_task("t", status) for status, count in counts.items() for _ in range(count)]
    lines = table(tasks, {}).splitlines() if tasks else []
    summed = [int(line.split()[0]) for line in lines if " tasks · " in line]
    assert len(lines) <= 50
    assert len(lines) - len(summed) + sum(summed) == len(tasks)
    if len(tasks) <= 50:
        assert not summed


def test_many_tasks_of_one_status_are_one_line() -> None:
    """Of few tasks of another status each keeps its own."""
    waiting = [make_task(f"w{number}", TaskStatus.WAITING) for number in range(1200)]
    lines = table([make_task("a", TaskStatus.DONE), *waiting], {}).splitlines()
    assert lines[0].startswith("1,200 tasks · waiting · w0, w1, ")
    assert lines[0].endswith("w29 and 1,170 more")
    assert lines[1:] == ["a · done · coder-1"]


def test_a_few_names_are_all_shown() -> None:
    """Only beyond thirty does the number stand for the rest."""
    names = [f"n{number}" for number in range(31)]
    assert some(names[:30]) == ", ".join(names[:30])
    assert some(names) == ", ".join(names[:30]) + " and 1 more"
    assert some([]) == ""
