"""What becomes of a team, as lines: one for each change, and each change once."""

from collections.abc import Iterator

from perdure.teams import overview
from perdure.teams.contracts import MemberState, TaskStatus, TeamState, TeamTask

_MOST_NAMES = 10
_UNKNOWN = MemberState(name="", kind="", model="")


class Changes:
    """Compares each state of a team with the one before."""

    def __init__(self) -> None:
        self._last: TeamState | None = None

    def since(self, state: TeamState) -> list[str]:
        """What is new; the first state that has members is summed up instead."""
        last = self._last
        if not state.members:
            return []
        self._last = state
        if last is None:
            return _summary(state)
        ended, taken = _tasks(last, state)
        has_changed = state.status != last.status and not state.status.is_final
        status = [f"the team is {state.status}"] if has_changed else []
        messages, members, planned = (
            _messages(last, state),
            _members(last, state),
            _new(last, state),
        )
        return [*status, *ended, *messages, *members, *planned, *taken]


def _summary(state: TeamState) -> list[str]:
    at_work = [each for each in state.members if each.is_at_work]
    names = [f"{each.name} ({each.task})" if each.task else each.name for each in at_work]
    return [
        f"{state.status} · {overview.headline(state)}",
        f"tasks: {overview.ledger(state.tasks)}",
        f"working: {_some(names) or 'nobody'}",
    ]


def _tasks(last: TeamState, state: TeamState) -> tuple[list[str], list[str]]:
    """Those that have ended, and those that were taken; one that was short is in both."""
    before = {task.id: task for task in last.tasks}
    ended: list[str] = []
    taken: list[str] = []
    for task in state.tasks:
        old = before.get(task.id)
        if _is_taken(old, task):
            (ended if task.status.is_over else taken).append(
                f"{task.member} takes {task.id}: {overview.cut(task.about)}"
            )
        if task.status.is_over and not (old and old.status.is_over):
            ended.append(_end(task))
        if task.status == TaskStatus.WAITING and old and old.status == TaskStatus.RUNNING:
            ended.append(f"{task.id} waits again, for {task.to}; {old.member} has not done it")
    return ended, taken


def _is_taken(old: TeamTask | None, task: TeamTask) -> bool:
    if task.status == TaskStatus.RUNNING:
        return old is None or old.status != TaskStatus.RUNNING or old.member != task.member
    if task.status not in {TaskStatus.DONE, TaskStatus.FAILED}:
        return False
    return bool(task.member) and (old is None or old.member != task.member)


def _end(task: TeamTask) -> str:
    outcome = f": {overview.cut(task.outcome)}" if task.outcome else ""
    match task.status:
        case TaskStatus.DONE:
            return f"{task.id} is done by {task.member}{outcome}"
        case TaskStatus.FAILED:
            return f"{task.id} has failed{outcome}"
        case _:
            return f"{task.id} is {task.status}{outcome}"


def _messages(last: TeamState, state: TeamState) -> Iterator[str]:
    for pair, sent in state.messages.items():
        if new := sent - last.messages.get(pair, 0):
            sender, _, receiver = pair.partition(">")
            yield f"{sender} → {receiver}: {overview.count(new, 'message')}"


def _members(last: TeamState, state: TeamState) -> Iterator[str]:
    before = {member.name: member for member in last.members}
    for member in state.members:
        old = before.get(member.name, _UNKNOWN)
        why = f": {overview.cut(member.reason)}" if member.reason else ""
        if member.restarts > old.restarts:
            yield f"{member.name} is restarted{why}"
        if member.standing == "out" != old.standing:
            yield f"{member.name} is out{why}"
        if member.standing == "stopping" != old.standing:
            yield f"{member.name} is stopped{why}"


def _new(last: TeamState, state: TeamState) -> Iterator[str]:
    known = {task.id for task in last.tasks}
    new = [task.id for task in state.tasks if task.id not in known]
    if new:
        yield f"{overview.count(len(new), 'task')} planned: {_some(new)}"


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join([*names[:_MOST_NAMES], *([f"and {more} more"] if more > 0 else [])])
