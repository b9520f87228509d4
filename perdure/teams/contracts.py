"""The types that cross the boundary of `TeamWorkflow`; those of its members stand beside them.

As in `perdure.contracts`: frozen Pydantic models, one object in and one out.
"""

import re
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, TypeAdapter, model_validator

from perdure.contracts import (
    AgentResult,
    AgentSpec,
    Argument,
    Contract,
    Entry,
    Limits,
    Parcel,
    Place,
    PublicContract,
    RunState,
    SandboxKind,
    Spent,
)

MOST_MEMBERS = 500
_NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_-]{0,39}$"
_SHORT_GROUP = re.compile(r"(?P<agent>[^:@\s]+)(?::(?P<count>\d+))?(?:@(?P<model>\S+))?")


def _group(value: Any) -> Any:
    """`NAME[:COUNT][@MODEL]` as the fields of a group."""
    if not isinstance(value, str):
        return value
    found = _SHORT_GROUP.fullmatch(value.strip())
    if found is None:
        message = f"{value!r} is not NAME, NAME:COUNT or NAME:COUNT@MODEL, such as coder:5"
        raise ValueError(message)
    return {name: given for name, given in found.groupdict().items() if given is not None}


class MemberGroup(PublicContract):
    """Members of one kind, who take each other's tasks. Also written `coder:5@gpt-5-mini`."""

    agent: str | AgentSpec
    name: str | None = Field(default=None, pattern=_NAME_PATTERN)
    """The kind; None for the agent's name."""
    count: int = Field(default=1, ge=1, le=MOST_MEMBERS)
    model: str | None = Field(default=None, min_length=1, max_length=200)
    limits: Limits = Limits()
    """Of one task (for the lead: of the whole); those left open are the agent's own."""

    @property
    def kind(self) -> str:
        if self.name is not None:
            return self.name
        return self.agent if isinstance(self.agent, str) else self.agent.name

    @property
    def names(self) -> tuple[str, ...]:
        """The members': the kind itself, or numbered from 1 where there are several."""
        if self.count == 1:
            return (self.kind,)
        return tuple(f"{self.kind}-{number}" for number in range(1, self.count + 1))


Group = Annotated[MemberGroup, BeforeValidator(_group)]


class Supervision(PublicContract):
    """What is done when a member's run ends otherwise than completed. As in Erlang/OTP."""

    strategy: Literal["one_for_one", "one_for_all", "rest_for_one"] = "one_for_one"
    """Restarted are: the member; every member that works; it and those after it in the roster."""
    max_restarts: int = Field(default=3, ge=0, le=1000)
    """A member that fails more often within the period is out, and the lead is told."""
    within_minutes: float = Field(default=60, gt=0, le=100_000)
    silence_minutes: float = Field(default=35, gt=0, le=100_000)
    """A member that has recorded nothing for so long hangs: it is cancelled, and has failed.

    More than `LONGEST_EFFECT`, which ends a call that hangs by itself.
    """


class TeamSpec(PublicContract):
    """What a team is: who is in it, who leads it, what it may spend, how it is supervised."""

    name: str = Field(pattern=_NAME_PATTERN)
    description: str = ""
    instructions: str = Field(default="", max_length=100_000)
    """For every member, beside its agent's own."""
    lead: Group
    members: tuple[Group, ...] = Field(min_length=1)
    limits: Limits = Limits()
    """Of the whole team: one purse."""
    lead_share: float = Field(default=0.25, gt=0, lt=1)
    """The part of the purse that only the lead can spend."""
    supervision: Supervision = Supervision()
    shared_workspace: bool = False
    """Whether all work on the same files; else each member has its own."""

    @property
    def groups(self) -> tuple[MemberGroup, ...]:
        """The lead's, then the members'."""
        return (self.lead, *self.members)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all members, the lead first."""
        return tuple(name for group in self.groups for name in group.names)

    @model_validator(mode="after")
    def _check_roster(self) -> Self:
        kinds, names = [group.kind for group in self.members], self.names
        for name in (*kinds, *names):
            if not re.fullmatch(_NAME_PATTERN, name):
                message = f"{name!r} cannot name a member; give the group a `name` of letters,"
                raise ValueError(f"{message} digits, '_' and '-'")
        twice = {each for each, times in Counter(names).items() if times > 1}
        twice |= {each for each, times in Counter([*kinds, *self.lead.names]).items() if times > 1}
        twice |= {each.kind for each in self.members if each.kind in {*names} - {*each.names}}
        if twice:
            message = f"two members or groups are called {min(twice)!r}; give one another `name`"
            raise ValueError(message)
        if self.lead.count != 1:
            message = f"a team has one lead, and {self.lead.kind!r} is {self.lead.count}"
            raise ValueError(message)
        if len(names) > MOST_MEMBERS:
            message = f"a team has at most {MOST_MEMBERS} members, and this one {len(names)}"
            raise ValueError(message)
        return self


class TeamRequest(PublicContract):
    """One goal for one team: the input of `TeamWorkflow`. Its output is an `AgentResult`."""

    goal: str = Field(pattern=r"\S", max_length=200_000)
    team: str | TeamSpec
    """A team that the workers know by name, or one given here."""
    model: str | None = Field(default=None, min_length=1, max_length=200)
    """For every member whose group does not name one."""
    limits: Limits = Limits()
    """In place of the team's own."""
    head: str | None = Field(default=None, pattern=r"^t-[0-9a-f]{24}$")
    """Turn from which the lead continues."""
    conversation: str | None = Field(default=None, min_length=1, max_length=200)
    user: str | None = Field(default=None, min_length=1, max_length=200)
    workspace: str | None = None
    """Absolute path of a folder on a worker's machine: every member begins with a copy of it.
    A lead that continues from `head` has the files of that turn instead."""
    sandbox: SandboxKind | None = None
    progress: "TeamProgress | None" = None
    """Filled in by the workflow itself when it continues as new; leave it out."""


class OpenTeam(Contract):
    """Input of `open_team`: resolve the team and record it."""

    run: str
    workflow_id: str
    request: TeamRequest


class MemberPlan(Contract):
    """One member, as the team's loop needs it."""

    name: str
    kind: str
    model: str
    limits: Limits
    """Of one task."""


class TeamPlan(Contract):
    """What `open_team` settled."""

    run: str
    team: str
    goal: str
    """Its beginning."""
    lead: MemberPlan
    members: tuple[MemberPlan, ...]
    limits: Limits
    lead_share: float
    supervision: Supervision
    shared_workspace: bool
    executes: bool
    """Whether some member may run commands."""


class TaskStatus(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        return self not in {TaskStatus.WAITING, TaskStatus.RUNNING}


class TeamTask(Contract):
    """One line of a team's ledger; the texts stay in the store."""

    id: str
    to: str
    """A kind of members, or one member."""
    about: str
    """The beginning of the task."""
    text: Argument
    """The whole of it."""
    depends_on: tuple[str, ...] = ()
    status: TaskStatus = TaskStatus.WAITING
    member: str = ""
    """Who works on it, or did last."""
    run: str | None = None
    """The store's id of the run that ended it: its answer is the task's result."""
    lost: tuple[str, ...] = ()
    """Members that were put out over it."""
    outcome: str = ""
    """The beginning of the answer, or why there is none."""
    is_told: bool = False
    """Whether the lead has been told how it ended."""


class Mail(Contract):
    """A member's parcels that no run of it has read yet, as they cross continue-as-new."""

    first: int = 1
    """The number of the first of them."""
    parcels: tuple[Parcel, ...] = ()
    sent: int = 0
    """The number of the last one that its present run was sent."""


MemberStanding = Literal["free", "working", "stopping", "out"]


class MemberState(Contract):
    """How a member stands."""

    name: str
    kind: str
    model: str
    standing: MemberStanding = "free"
    task: str = ""
    workflow_id: str = ""
    """Of its present run, or of the last one."""
    head: str | None = None
    """The last turn of the last run that has ended."""
    run: str | None = None
    """The store's id of that run."""
    is_begun: bool = False
    """Whether its model has been shown the task."""
    unshown: tuple[Entry, ...] = ()
    """The results of calls that it has not been shown."""
    runs: int = 0
    execution: str = ""
    """The one in which its present run has asked last."""
    asked: int = 0
    """The number of the last ask of the present run that was taken in."""
    failures: tuple[datetime, ...] = ()
    """Within the period of supervision."""
    restarts: int = 0
    then: Literal["", "again", "fail", "drop"] = ""
    """What follows when its run has stopped, or stopped already: the task goes on in another run;
    it counts as failed; nothing. Empty where its run is not to stop."""
    reason: str = ""
    """Why its run is to stop, or why its last one ended, where that was no success."""
    settled: Spent = Spent()
    """By its runs that have ended."""
    spent: Spent = Spent()
    """By all of them, the present one as far as is known."""
    rested: datetime | None = None
    """When a roll call last found it silent by right."""

    @property
    def is_at_work(self) -> bool:
        """Whether it has an open run."""
        return self.standing in {"working", "stopping"}


_LEDGER = TypeAdapter(tuple[TeamTask, ...])


def _packed(tasks: tuple[TeamTask, ...]) -> str:
    return b64encode(zlib.compress(_LEDGER.dump_json(tasks))).decode()


def _unpacked(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _LEDGER.validate_json(zlib.decompress(b64decode(value)))


PackedTasks = Annotated[
    tuple[TeamTask, ...], BeforeValidator(_unpacked), PlainSerializer(_packed, return_type=str)
]
"""A ledger that crosses continue-as-new in a fraction of its bytes."""


class TeamProgress(Contract):
    """What a team carries through continue-as-new."""

    plan: TeamPlan
    started: datetime
    members: tuple[MemberState, ...]
    """The lead is the first."""
    mail: dict[str, Mail]
    tasks: PackedTasks
    spent: Spent
    reserved: dict[str, Limits]
    waiting: tuple[int, tuple[str, ...]] | None
    """The lead's ask that waits for tasks to end, and which."""
    messages: dict[str, int]
    """How many were sent, by `sender>receiver`."""
    words: int
    """How many parcels were in the team's own words."""
    place: Place | None
    paused: bool


class TeamState(RunState):
    """Answer of the query `status` of a team: `head` is the lead's, the rest is everyone's."""

    goal: str = ""
    members: tuple[MemberState, ...] = ()
    tasks: tuple[TeamTask, ...] = ()
    messages: dict[str, int] = Field(default_factory=dict)
    left: str = ""
    """What the purse still holds, in words."""


class RollCall(Contract):
    """Input of `call_roll`, which says how these children stand."""

    workflow_ids: tuple[str, ...]


class Present(Contract):
    """How one child stands."""

    workflow_id: str
    run: str | None
    """The store's id of the run; None for one that was not opened."""
    is_over: bool
    """Whether Temporal says so; it may not have reported yet."""
    result: AgentResult | None
    """Where it is over: the recorded one with the beginning of its answer, or one that says why
    there is none."""
    spent: Spent
    silent_seconds: float
    """Since it last recorded anything; 0 for one that was not opened, waits or is paused."""


class Roll(Contract):
    """Output of `call_roll`."""

    present: tuple[Present, ...]
