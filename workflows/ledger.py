"""A team's tasks: who may take which one next, and how each of them ended."""

from bisect import insort
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from perdure.teams.contracts import TaskStatus, TeamTask
from workflows.assignment import lack, meant, problem
from workflows.listing import beginning, table


class LedgerError(Exception):
    """What the lead asked for cannot be done: its text is the answer to the lead's model."""


class Ledger:
    """Tasks in the order of adding. Each ends once; one starts when all that it needs is done.

    What does not fit a task's status changes nothing, as a report may come late, or twice.
    """

    def __init__(self, tasks: Iterable[TeamTask] = ()) -> None:
        self._tasks: dict[str, TeamTask] = {}
        self._open: dict[str, None] = {}
        self._places: dict[str, int] = {}
        self._dependents: dict[str, list[str]] = {}
        self._ready: dict[str, list[tuple[int, str]]] = {}
        """By `to`: place and id of those that may be started, in the order of adding."""
        self._record(tuple(tasks))

    @property
    def tasks(self) -> tuple[TeamTask, ...]:
        return tuple(self._tasks.values())

    @property
    def open(self) -> tuple[TeamTask, ...]:
        """Those that are not over."""
        return tuple(self._tasks[id] for id in self._open)

    def are_over(self, ids: Iterable[str]) -> bool:
        return self._open.keys().isdisjoint(ids)

    def task(self, id: str) -> TeamTask:
        """The task of that id.

        Raises:
            LedgerError: there is none.
        """
        if id not in self._tasks:
            raise LedgerError(f"Task '{id}' is unknown. {meant(id, self._tasks)}")
        return self._tasks[id]

    # What the lead does

    def add(self, wanted: Sequence[TeamTask], known: Collection[str]) -> None:
        """All of `wanted`, or none. `known` are the kinds and members that may be assigned to.

        Raises:
            LedgerError: one of them cannot be added: which, why, and what to do.
        """
        if why := problem(wanted, self._tasks, known):
            raise LedgerError(why)
        self._record(wanted)

    def cancel(self, ids: Iterable[str], reason: str) -> tuple[TeamTask, ...]:
        """Cancel these and all that need them; those that were running are to be stopped.

        Raises:
            LedgerError: one of the ids is unknown; nothing is cancelled.
        """
        stopped: list[str] = []
        for task in [self.task(id) for id in ids]:
            ended = self._end_all(task.id, TaskStatus.CANCELLED, reason)
            stopped.extend(each.id for each in ended if each.status is TaskStatus.RUNNING)
        return tuple(self._tasks[id] for id in stopped)

    def untold(self, ids: Collection[str] | None = None) -> tuple[TeamTask, ...]:
        """Those that are over (of `ids`, where given), and the lead does not know it."""
        among = self._tasks if ids is None else frozenset(ids)
        return tuple(
            task
            for task in self._tasks.values()
            if not task.is_told and task.id in among and task.status.is_over
        )

    def told(self, ids: Iterable[str]) -> None:
        for id in ids:
            self._change(id, is_told=True)

    def table(self, tasks: Iterable[TeamTask]) -> str:
        """A line for each, such as `schema · done · coder-1 · 12 tables`; fewer if many."""
        return table(tasks, self._tasks)

    # What the members do

    def ready(self, kind: str, member: str) -> TeamTask | None:
        """The next task for this member: one for itself before one for its kind."""
        for to in (member, kind):
            for _, id in self._ready.get(to, ()):
                if member not in self._tasks[id].lost:
                    return self._tasks[id]
        return None

    def start(self, id: str, member: str) -> None:
        if self._is_ready(id):
            self._change(id, status=TaskStatus.RUNNING, member=member)

    def done(self, id: str, run: str | None, outcome: str) -> None:
        if self._tasks[id].status is TaskStatus.RUNNING:
            self._change(id, status=TaskStatus.DONE, run=run, outcome=beginning(outcome))
            for dependent in self._dependents.get(id, ()):
                self._offer(dependent)

    def put_back(self, id: str, member: str, kind: str) -> None:
        """The member is lost: its task waits for another one of the kind."""
        task = self._tasks[id]
        if task.status is TaskStatus.RUNNING:
            lost = (*task.lost, member)
            self._change(id, status=TaskStatus.WAITING, to=kind, lost=lost)
            self._offer(id)

    def hand_on(self, member: str, kind: str) -> None:
        """The member is lost: what waits for it alone may be taken by any other of the kind."""
        for task in self.open:
            if task.to == member and task.status is TaskStatus.WAITING:
                self._change(task.id, to=kind)
                self._offer(task.id)

    def fail(self, id: str, reason: str, run: str | None = None) -> tuple[TeamTask, ...]:
        """End the task as failed, and all that need it; the task is the first of them.

        `run` has left what there is of an answer.
        """
        ended = self._end_all(id, TaskStatus.FAILED, reason)
        if ended:
            self._change(id, run=run)
        return tuple(self._tasks[task.id] for task in ended)

    def _end_all(self, id: str, status: TaskStatus, outcome: str) -> list[TeamTask]:
        """End the task and all that need it; each is given back as it was before."""
        ended: list[TeamTask] = []
        ending: list[tuple[str, str | None]] = [(id, outcome)]
        for each, why in ending:  # which grows meanwhile
            if self._tasks[each].status.is_over:
                continue
            ended.append(self._tasks[each])
            self._change(each, status=status, outcome=beginning(why or ""))
            lacking = lack(self._tasks[each])
            ending.extend((dependent, lacking) for dependent in self._dependents.get(each, ()))
        return ended

    # Indexes of those that are open or ready: members ask often, and tasks are many

    def _record(self, tasks: Sequence[TeamTask]) -> None:
        for task in tasks:
            self._places[task.id] = len(self._tasks)
            self._tasks[task.id] = task
            if not task.status.is_over:
                self._open[task.id] = None
            for id in dict.fromkeys(task.depends_on):
                self._dependents.setdefault(id, []).append(task.id)
        for task in tasks:  # once all are there: one may need a later one
            self._offer(task.id)

    def _change(self, id: str, **changes: Any) -> None:
        if self._is_ready(id):
            self._ready[self._tasks[id].to].remove((self._places[id], id))
        task = self._tasks[id] = self._tasks[id].model_copy(update=changes)
        if task.status.is_over:
            self._open.pop(id, None)

    def _offer(self, id: str) -> None:
        if self._is_ready(id):
            insort(self._ready.setdefault(self._tasks[id].to, []), (self._places[id], id))

    def _is_ready(self, id: str) -> bool:
        task = self._tasks[id]
        return task.status is TaskStatus.WAITING and all(
            self._tasks[needed].status is TaskStatus.DONE for needed in task.depends_on
        )
