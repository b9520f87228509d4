"""Whether tasks can be added to a ledger, and in words why not: the rules of dependencies."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from perdure.hints import did_you_mean
from perdure.teams.contracts import TaskStatus, TeamTask
from workflows.listing import some

MOST_TASKS, MOST_NEEDS = 1500, 5000
"""They cross continue-as-new whole, at up to 1 KB a task, and payloads end at 2 MB."""


def problem(
    wanted: Sequence[TeamTask], ledger: Mapping[str, TeamTask], known: Collection[str]
) -> str | None:
    """Why these cannot be added to the ledger, where somebody of the `known` is to do each."""
    if len(ledger) + len(wanted) > MOST_TASKS:
        return (
            f"The ledger holds {len(ledger):,} tasks, and with {len(wanted):,} more it would hold"
            f" more than {MOST_TASKS:,}. Put more work into each task."
        )
    needs = sum(len(task.depends_on) for task in (*ledger.values(), *wanted))
    if needs > MOST_NEEDS:
        return (
            f"All tasks together would need {needs:,} others, and {MOST_NEEDS:,} is the most. Let"
            " one task gather what many need."
        )
    batch: dict[str, TeamTask] = {}
    for task in wanted:
        if task.id in ledger or task.id in batch:
            return f"There is a task '{task.id}' already. Choose another id."
        if task.to not in known:
            return f"Nobody called '{task.to}' can take task '{task.id}'. {meant(task.to, known)}"
        batch[task.id] = task
    return next(_unfit_needs(batch, ledger), None) or _circle(wanted)


def meant(name: str, known: Iterable[str]) -> str:
    """What may have been meant by an unknown name."""
    known = sorted(known)
    return f"{did_you_mean(name, known)} Known: {some(known) or 'none'}.".lstrip()


def lack(needed: TeamTask) -> str | None:
    """Why what needs this task cannot be done; None where it still can."""
    match needed.status:
        case TaskStatus.FAILED:
            return f"needs '{needed.id}', which failed"
        case TaskStatus.CANCELLED:
            return f"needs '{needed.id}', which was cancelled"
        case _:
            return None


def _unfit_needs(batch: Mapping[str, TeamTask], ledger: Mapping[str, TeamTask]) -> Iterator[str]:
    every = {**ledger, **batch}
    for task in batch.values():
        for id in task.depends_on:
            if id not in every:
                yield f"Task '{task.id}' needs '{id}', which is unknown. {meant(id, every)}"
            elif why := lack(every[id]):
                yield f"Task '{task.id}' {why}. Assign that work anew, under another id."


def _circle(wanted: Iterable[TeamTask]) -> str | None:
    try:
        TopologicalSorter({task.id: task.depends_on for task in wanted}).prepare()
    except CycleError as error:
        circle = " needs ".join(f"'{id}'" for id in reversed(error.args[1]))
        return f"The tasks need each other in a circle: {circle}. Leave one of these needs out."
    return None
