"""Which runs a team starts next, and with which shares of its purse."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from perdure.contracts import AgentResult, Entry, Limits, Parcel, Quote, RunStatus
from perdure.teams.contracts import MemberState, TaskStatus, TeamTask
from workflows.crew import Crew
from workflows.purse import Purse


@dataclass(frozen=True, slots=True)
class Start:
    """A run that is to be started."""

    member: MemberState
    task: TeamTask | None
    """None for the lead, whose task is the team's goal."""
    share: Limits
    received: int
    parcels: tuple[Parcel, ...]
    needs: tuple[Quote, ...]
    restarted: str
    unshown: tuple[Entry, ...]


def starts(crew: Crew, now: datetime) -> Iterable[Start]:
    """The runs to be started now; each is noted as begun."""
    if crew.is_ending or crew.is_paused:
        return
    if crew.members[crew.lead].standing == "free":
        yield from _start_lead(crew, now)
    if crew.result is not None:
        return
    idle = crew.idle
    wanted = sum(each.status == TaskStatus.WAITING for each in crew.ledger.open)
    wanted += sum(each.then == "again" for each in idle)
    for place, member in enumerate(idle):
        sharing = min(len(idle) - place, wanted)
        for start in _start(crew, member, 1 / (1 + sharing), now):
            wanted -= 1
            yield start


def _start_lead(crew: Crew, now: datetime) -> Iterable[Start]:
    member = crew.members[crew.lead]
    share = _leads_share(crew, member, now)
    if share is None:
        left = crew.purse.left(now)
        reason = f"The lead's part of the budget is used up; the team has {left} left."
        crew.result = AgentResult.of_nothing(RunStatus.OUT_OF_BUDGET, reason, member.head)
        return
    yield _begin(crew, member, None, share)


def _leads_share(crew: Crew, member: MemberState, now: datetime) -> Limits | None:
    """What the lead's earlier runs have left of the part that only the lead can spend."""
    began = crew.purse.started
    whole = Purse(crew.plan.limits, began)
    own = crew.plans[member.name].limits
    part = whole.share(crew.plan.lead_share, own, began) or whole.share(1, own, began)
    rest = part and Purse(part, began, member.settled).share(1, Limits(), now)
    return rest and crew.purse.share(1, rest, now)


def _start(crew: Crew, member: MemberState, part: float, now: datetime) -> Iterable[Start]:
    while task := _next(crew, member):
        if share := _share(crew, member, part, now):
            yield _begin(crew, member, task, share)
            return
        if _is_shared(crew):
            return  # until others give back what they do not need
        reason = f"the team's budget is used up: {crew.purse.left(now)} left"
        if member.then == "again":
            crew.give_up(member, reason)
        else:
            crew.ledger.fail(task.id, reason)
        member = crew.members[member.name]


def _next(crew: Crew, member: MemberState) -> TeamTask | None:
    if member.then == "again":
        task = crew.ledger.task(member.task)
        if not task.status.is_over:
            return task
        crew.set(member.name, task="", then="")  # cancelled while it was to be restarted
    return crew.ledger.ready(member.kind, member.name)


def _share(crew: Crew, member: MemberState, part: float, now: datetime) -> Limits | None:
    own = crew.plans[member.name].limits
    share = crew.purse.share(part, own, now)
    return share if share or _is_shared(crew) else crew.purse.share(1, own, now)


def _is_shared(crew: Crew) -> bool:
    """Whether members hold shares, of which some may come back."""
    return any(each.name != crew.lead for each in crew.at_work)


def _begin(crew: Crew, member: MemberState, task: TeamTask | None, share: Limits) -> Start:
    runs = member.runs + 1
    id = f"{crew.team_id}.{member.name}.{runs}"
    is_again = member.then == "again" and member.is_begun
    began = crew.set(
        member.name,
        standing="working",
        task=task.id if task else "",
        workflow_id=id,
        runs=runs,
        execution="",
        asked=0,
        is_begun=is_again,
        unshown=(),
        then="",
        reason=member.reason if is_again else "",
    )
    crew.purse.reserve(id, share)
    if task is not None:
        crew.ledger.start(task.id, member.name)
    received, parcels = crew.mail[member.name].start()
    return Start(
        member=began,
        task=task,
        share=share,
        received=received,
        parcels=parcels,
        needs=crew.results(task.depends_on if task else ()),
        restarted=member.reason if is_again else "",
        unshown=member.unshown if is_again else (),
    )
