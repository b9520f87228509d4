"""A team as the store has it, where the team itself cannot be asked."""

from collections.abc import Mapping, Sequence

from perdure.console.standing import is_team, spent_by
from perdure.contracts import AgentResult, Argument, RunStatus, Spent
from perdure.store.family import Family
from perdure.store.store import RunSummary, Store
from perdure.store.tables import Run
from perdure.teams.contracts import (
    MemberGroup,
    MemberState,
    TaskStatus,
    TeamSpec,
    TeamState,
    TeamTask,
)
from perdure.teams.overview import cut
from perdure.teams.record import spec_of

_NOWHERE = Argument(turn="", call="", path=())
"""Only the team knows which call assigned a task."""
_TASK_STATUS = {RunStatus.COMPLETED: TaskStatus.DONE, RunStatus.CANCELLED: TaskStatus.CANCELLED}


def recorded(team: Run, below: Sequence[RunSummary], messages: Mapping[str, int]) -> TeamState:
    """Members and tasks by their runs; a task that nobody has taken yet is not among them."""
    oldest_first = sorted(below, key=lambda summary: summary.run.created_at)
    result = AgentResult.model_validate(team.result) if team.result else None
    members = _members(spec_of(team), oldest_first)
    total = sum((spent_by(each) for each in below), Spent())
    return TeamState(
        status=result.status if result else RunStatus.RUNNING,
        agent=team.agent,
        model=team.model,
        doing="ended" if result else "",
        head=members[0].head,
        steps=total.steps,
        usage=total.usage,
        result=result,
        goal=team.task,
        members=members,
        tasks=_tasks(oldest_first),
        messages=dict(messages),
    )


async def with_spending(state: TeamState, family: Family) -> TeamState:
    """The state with what the store has of the runs that are at work, and of those below them.

    A team that has ended says all of it itself.
    """
    if state.result is not None:
        return state
    at_work = {each.workflow_id for each in state.members if each.is_at_work}
    live = {id: branch.spent for id, branch in (await family.branches(at_work)).items()}
    members = tuple(
        member.model_copy(update={"spent": member.settled + live.get(member.workflow_id, Spent())})
        if member.is_at_work
        else member
        for member in state.members
    )
    total = sum((member.spent for member in members), Spent())
    return state.model_copy(update={"members": members, "steps": total.steps, "usage": total.usage})


async def with_record(result: AgentResult, store: Store, workflow_id: str) -> AgentResult:
    """The result, with what the store has of a run that was cut short and could not say it."""
    if result.steps or result.head is not None:
        return result
    family = Family(store)
    branch = (await family.branches([workflow_id])).get(workflow_id)
    if branch is None:
        return result
    head = branch.head
    if is_team(run := await store.find_run(workflow_id)):
        lead = lead_of(run, await family.of(workflow_id))
        head = lead.head if lead else None
    spent = branch.spent
    return result.model_copy(update={"head": head, "steps": spent.steps, "usage": spent.usage})


def lead_of(team: Run, below: Sequence[RunSummary]) -> RunSummary | None:
    """The last run of the team's lead that has come to a step; `below`: newest first."""
    name = spec_of(team).names[0]
    return next((each for each in below if each.run.member == name and each.head), None)


async def run_with_files(store: Store, workflow_id: str) -> Run:
    """Whose files are meant: where each member of a team has its own, those of its lead.

    Raises:
        UnknownRun: the store has no such run.
    """
    run = await store.find_run(workflow_id)
    if not is_team(run) or (team := spec_of(run)).shared_workspace:
        return run
    (lead,) = team.lead.names
    below = await Family(store).of(workflow_id)
    return next((each.run for each in below if each.run.member == lead), run)


def _spent(below: Sequence[RunSummary]) -> dict[str, Spent]:
    """What each run of a member used up, with those that it delegated to, by its id."""
    runs = {summary.run.workflow_id: summary.run for summary in below}
    spent: dict[str, Spent] = {}
    for summary in below:
        run: Run | None = summary.run
        while run is not None and run.member is None:
            run = runs.get(run.parent or "")
        if run is not None:
            spent[run.workflow_id] = spent.get(run.workflow_id, Spent()) + spent_by(summary)
    return spent


def _members(team: TeamSpec, below: Sequence[RunSummary]) -> tuple[MemberState, ...]:
    runs: dict[str, list[RunSummary]] = {}
    for summary in below:
        runs.setdefault(summary.run.member or "", []).append(summary)
    spent = _spent(below)
    return tuple(
        _member(name, group, runs.get(name, []), spent)
        for group in team.groups
        for name in group.names
    )


def _member(
    name: str, group: MemberGroup, runs: Sequence[RunSummary], spent: Mapping[str, Spent]
) -> MemberState:
    if not runs:
        return MemberState(name=name, kind=group.kind, model=group.model or "")
    last = runs[-1].run
    at_work = last.result is None
    return MemberState(
        name=name,
        kind=group.kind,
        model=last.model,
        standing="working" if at_work else "free",
        task=(last.task_id or "") if at_work else "",
        workflow_id=last.workflow_id,
        head=runs[-1].head,
        runs=len(runs),
        reason=(last.result or {}).get("reason", ""),
        spent=sum((spent[each.run.workflow_id] for each in runs), Spent()),
    )


def _tasks(below: Sequence[RunSummary]) -> tuple[TeamTask, ...]:
    """By the last run of each."""
    last = {each.run.task_id: each.run for each in below if each.run.task_id is not None}
    return tuple(_task(id, run) for id, run in last.items())


def _task(id: str, run: Run) -> TeamTask:
    result = AgentResult.model_validate(run.result) if run.result else None
    ended = _TASK_STATUS.get(result.status, TaskStatus.FAILED) if result else None
    return TeamTask(
        id=id,
        to=run.member or "",
        about=cut(run.task),
        text=_NOWHERE,
        status=ended or TaskStatus.RUNNING,
        member=run.member or "",
        run=run.id if ended == TaskStatus.DONE else None,
        outcome=cut(result.reason or result.answer) if result else "",
    )
