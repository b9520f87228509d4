"""Many tasks, and many names, in few words: for a model to read."""

from collections.abc import Iterable, Mapping

from perdure.teams.contracts import TaskStatus, TeamTask

_MOST_LINES = 50
"""A longer table sums up each status of which there are more than its share of the lines."""
_MOST_NAMES = 30


def table(tasks: Iterable[TeamTask], ledger: Mapping[str, TeamTask]) -> str:
    """A line for each; of a long table, one for each status of which there are many."""
    tasks = list(tasks)
    if not tasks:
        return "There are no tasks."
    if len(tasks) <= _MOST_LINES:
        return "\n".join(_line(task, ledger) for task in tasks)
    lines: list[str] = []
    for status in TaskStatus:
        those = [task for task in tasks if task.status is status]
        if len(those) <= _MOST_LINES // len(TaskStatus):
            lines.extend(_line(task, ledger) for task in those)
        else:
            lines.append(f"{len(those):,} tasks · {status} · {some(task.id for task in those)}")
    return "\n".join(lines)


def some(names: Iterable[str]) -> str:
    """The first of the names, and how many more there are."""
    every = list(names)
    shown, rest = ", ".join(every[:_MOST_NAMES]), len(every) - _MOST_NAMES
    return f"{shown} and {rest:,} more" if rest > 0 else shown


def beginning(text: str, most: int = 300) -> str:
    """As much of it as so many bytes hold: a ledger crosses continue-as-new whole."""
    return text.encode()[:most].decode(errors="ignore")


def _line(task: TeamTask, ledger: Mapping[str, TeamTask]) -> str:
    """What it is, how it stands, with whom, and how it ended or what it is about."""
    is_waiting = task.status is TaskStatus.WAITING
    needs = [id for id in task.depends_on if ledger[id].status is not TaskStatus.DONE]
    parts = (
        task.id,
        task.status,
        task.to if is_waiting else task.member,
        f"needs {some(needs)}" if is_waiting and needs else "",
        " ".join((task.outcome if task.status.is_over else task.about).split()),
    )
    return " · ".join(part for part in parts if part)
