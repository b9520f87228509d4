"""The table of a team."""

import io

import pytest
from rich.console import Console, RenderableType

from perdure.console.roster import roster, screenful, told
from tests.console.crew import member, state, task

LONG = "A long explanation of what is to be done, \x1b[31mand why. " * 5


def _printed(shown: RenderableType, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as captured:
        console.print(shown)
    return captured.get().splitlines()


@pytest.mark.parametrize("tasks", [0, 3, 500])
@pytest.mark.parametrize("members", [2, 100])
@pytest.mark.parametrize("height", [24, 50])
def test_a_team_fits_the_terminal(members: int, tasks: int, height: int) -> None:
    """However many members and tasks there are, and however long their texts."""
    crew = state(
        *(member(f"coder-{n}", "out", reason=LONG) for n in range(members)),
        tasks=[task(f"task-{n}", about=LONG) for n in range(tasks)],
        goal=LONG,
        left=LONG,
    )
    lines = _printed(screenful(crew, height))
    assert len(lines) < height
    assert sum("coder-" in line for line in lines) >= 2
    assert any("task-0" in line for line in lines) == (tasks > 0)


def test_who_works_is_shown_and_the_rest_counted() -> None:
    """Ten of a hundred members work, and all ten are seen on a small terminal."""
    coders = [member(f"coder-{n}", "working" if n > 90 else "free") for n in range(1, 101)]
    lines = _printed(screenful(state(member("boss", "working"), *coders), 24))
    working = [line for line in lines if " working " in line]
    assert len(working) == 11
    assert any(line.startswith("88 more: 88 free") for line in lines)


def test_all_of_a_team_is_shown_where_there_is_place() -> None:
    """Every member and every open task; what a model wrote controls no terminal."""
    crew = state(
        *(member(f"coder-{n}") for n in range(100)),
        tasks=[task(f"task-{n}", about=LONG) for n in range(50)],
    )
    lines = _printed(roster(crew), width=300)
    assert sum(line.startswith("coder-") for line in lines) == 100
    assert sum(line.startswith("task-") for line in lines) == 50
    assert not any("\x1b" in line for line in lines)


def test_json_has_the_facts_without_pointers() -> None:
    """Members, tasks, messages and the purse; not where in the store a text stands."""
    data = told(state(member("boss"), tasks=[task("a")], messages={"a>b": 1}, left="9 steps"))
    assert (data["left"], data["messages"]) == ("9 steps", {"a>b": 1})
    assert data["tasks"][0]["about"] == "Do a."
    assert "text" not in data["tasks"][0]
    assert "result" not in data
