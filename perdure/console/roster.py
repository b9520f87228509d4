"""A team as a table of its members and one of its open tasks."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from perdure.console.display import clean
from perdure.teams import overview
from perdure.teams.contracts import TeamState

_OTHER_LINES = 11
"""Beside the tables' rows: three about the team, headers, counts, blank lines, the cursor's."""
_LEAST_ROWS = 4
_NUMBERS = {"steps", "tokens", "cost"}
_STYLES = {"working": "green", "stopping": "yellow", "out": "red", "running": "green"}


def roster(state: TeamState) -> Group:
    """All of it, with the tasks that are over."""
    members = overview.members(state, len(state.members))
    return Group(*_lines(state, members, overview.whole_ledger(state)))


def screenful(state: TeamState, height: int) -> Group:
    """How the team stands, and as much of the roster as fits into so many lines."""
    status = f"{state.status} — {state.doing}" if state.doing else str(state.status)
    for_members, for_tasks = _places(state, height)
    members, tasks = overview.members(state, for_members), overview.tasks(state, for_tasks)
    return Group(_line(status, "bold"), *_lines(state, members, tasks))


def _lines(
    state: TeamState, members: overview.Rows, tasks: overview.Rows
) -> Iterator[RenderableType]:
    yield _line(overview.headline(state))
    yield _line(f"goal: {' '.join(state.goal.split())}")
    yield _line("")
    yield from _table(overview.MEMBER_COLUMNS, members, "task")
    yield _line("")
    yield _line(f"tasks: {overview.ledger(state.tasks)}", "bold")
    yield from _table(overview.TASK_COLUMNS, tasks, "about")


def told(state: TeamState) -> dict[str, Any]:
    """As JSON tells it: without what only the workflow needs; the result stands elsewhere."""
    return state.model_dump(
        mode="json",
        exclude={
            "result": True,
            "members": {"__all__": {"asked", "then", "settled"}},
            "tasks": {"__all__": {"text", "is_told"}},
        },
    )


def _places(state: TeamState, height: int) -> tuple[int, int]:
    """How many rows there are for members, and how many for tasks."""
    tasks = sum(not task.status.is_over for task in state.tasks)
    rows = max(height - _OTHER_LINES, _LEAST_ROWS)
    for_tasks = min(tasks, max(rows // 3, rows - len(state.members)))
    return rows - for_tasks, for_tasks


def _table(columns: Sequence[str], rows: overview.Rows, elastic: str) -> list[RenderableType]:
    """A line for each row; where it is narrow, the `elastic` column is cut."""
    if not rows.shown:
        return []
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        justify: JustifyMethod = "right" if column in _NUMBERS else "left"
        grid.add_column(column, no_wrap=column != elastic, justify=justify)
    for row in rows.shown:
        style = next((style for word, style in _STYLES.items() if row[1].startswith(word)), "")
        grid.add_row(*(_line(cell) for cell in row), style=style)
    return [grid, _line(rows.rest, "dim")] if rows.rest else [grid]


def _line(text: str, style: str = "") -> Text:
    return Text(clean(text), style=style, no_wrap=True, overflow="ellipsis")
