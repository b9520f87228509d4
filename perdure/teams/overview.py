"""A team at a glance: the facts that the Web UI and the command line show alike."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from perdure.contracts import Spent
from perdure.teams.contracts import MemberState, TaskStatus, TeamState, TeamTask

MEMBER_COLUMNS = ("member", "standing", "task", "steps", "tokens", "cost")
TASK_COLUMNS = ("task", "status", "member", "about")
_STANDINGS = ("working", "stopping", "out", "free")
"""In the order of interest."""
_CELL_BYTES = 80


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table that has place for so many."""

    shown: tuple[tuple[str, ...], ...]
    rest: str
    """How many more there are, and how they stand; empty when all are shown."""


def headline(state: TeamState) -> str:
    """What the whole team has come to, in a line."""
    _, tokens, cost = spending(Spent(steps=state.steps, usage=state.usage))
    facts = (
        f"{state.agent} of {count(len(state.members), 'member')}",
        count(state.steps, "step"),
        f"{tokens} tokens",
        cost,
        f"{count(sum(state.messages.values()), 'message')} sent",
    )
    return " · ".join([*facts, f"left: {state.left}"] if state.left else facts)


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def ledger(tasks: Sequence[TeamTask]) -> str:
    """How many tasks there are of each status, in a line."""
    of = Counter(task.status for task in tasks)
    return ", ".join(f"{of[each]:,} {each}" for each in TaskStatus if of[each]) or "none"


def members(state: TeamState, most: int) -> Rows:
    """Under `MEMBER_COLUMNS`: those that work first, the lead before the others."""
    order = sorted(state.members, key=lambda member: _STANDINGS.index(member.standing))
    lead = state.members[0].name if state.members else ""
    shown = tuple(_member(member, is_lead=member.name == lead) for member in order[:most])
    return Rows(shown, _rest([member.standing for member in order[most:]]))


def tasks(state: TeamState, most: int) -> Rows:
    """Under `TASK_COLUMNS`: the open ones, those that are worked on first."""
    running = [task for task in state.tasks if task.status == TaskStatus.RUNNING]
    waiting = [task for task in state.tasks if task.status == TaskStatus.WAITING]
    order = running + waiting
    shown = _tasks(state, order[:most])
    return Rows(shown, _rest([str(task.status) for task in order[most:]]))


def whole_ledger(state: TeamState) -> Rows:
    """Under `TASK_COLUMNS`: every task, with its outcome where it has one."""
    return Rows(_tasks(state, state.tasks), "")


def spending(spent: Spent) -> tuple[str, str, str]:
    """Steps, tokens and cost, each as it is written in a cell."""
    usage = spent.usage
    cost = "cost unknown" if usage.cost_usd is None else f"${usage.cost_usd:.4f}"
    return f"{spent.steps:,}", f"{usage.tokens:,}", cost


def _member(member: MemberState, *, is_lead: bool) -> tuple[str, ...]:
    again = f" ({count(member.restarts, 'restart')})" if member.restarts else ""
    what = member.task or ("leads" if is_lead and member.standing == "working" else "")
    if member.standing in {"stopping", "out"}:
        what = ": ".join(filter(None, (member.task, member.reason)))
    return (member.name, member.standing + again, cut(what), *spending(member.spent))


def _tasks(state: TeamState, shown: Sequence[TeamTask]) -> tuple[tuple[str, ...], ...]:
    is_open = {task.id for task in state.tasks if not task.status.is_over}
    return tuple(_task(task, is_open) for task in shown)


def _task(task: TeamTask, is_open: set[str]) -> tuple[str, ...]:
    who, about = task.member, task.about
    if task.status == TaskStatus.WAITING:
        who = f"for {task.to}"
        needs = ", ".join(each for each in task.depends_on if each in is_open)
        about = f"needs {needs} · {about}" if needs else about
    return (task.id, str(task.status), who, cut(task.outcome or about))


def _rest(kinds: Sequence[str]) -> str:
    if not kinds:
        return ""
    return f"{len(kinds)} more: " + ", ".join(f"{n} {each}" for each, n in Counter(kinds).items())


def cut(text: str) -> str:
    """The beginning of a text on one line, for a cell."""
    line = " ".join(text.split())
    beginning = line.encode()[:_CELL_BYTES].decode(errors="ignore")
    return line if line == beginning else beginning + "…"
