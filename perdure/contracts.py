"""The types that cross the workflow boundary, and nothing else.

Every one is a frozen Pydantic model: plain JSON outside, one object in and one out.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

TASK_QUEUE = "perdure"
THINK_QUEUE = "perdure-think"
ACT_QUEUE = "perdure-act"

_NAME = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)
FINISH, WAIT, DELEGATE = "finish", "wait", "delegate"
"""The control tools, which the workflow carries out itself."""
SEND_MESSAGE = "send_message"
ASSIGN, LIST_TASKS, WAIT_FOR_TASKS, CANCEL_TASKS = (
    "assign",
    "list_tasks",
    "wait_for_tasks",
    "cancel_tasks",
)
MEMBERS_TOOLS = (SEND_MESSAGE,)
LEADS_TOOLS = (ASSIGN, LIST_TASKS, WAIT_FOR_TASKS, CANCEL_TASKS)
"""Control tools of a team's members, and those that only its lead has: the team answers them."""
HAND_OVER = "hand_over"
"""No tool: what a lead asks when it has to end, so that its team ends first."""

BEGINNING_CHARACTERS = 200
"""Of an answer, for those who need not have all of it."""

_LABEL = Field(default=None, min_length=1, max_length=200)
"""Something that runs are found by in Temporal."""


class Contract(BaseModel):
    """A message between our own parts: fields that a newer version added are ignored."""

    model_config = ConfigDict(frozen=True)


class PublicContract(BaseModel):
    """A message from outside: a field that we do not know is an error, not a silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RunStatus(StrEnum):
    """How a run stands, or how it ended."""

    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    OUT_OF_STEPS = "out_of_steps"
    OUT_OF_BUDGET = "out_of_budget"
    OUT_OF_TIME = "out_of_time"
    STUCK = "stuck"

    @property
    def is_final(self) -> bool:
        return self not in {RunStatus.RUNNING, RunStatus.PAUSED, RunStatus.WAITING}


class Usage(Contract):
    """What model calls consumed. `cost_usd` is None when the model's price is unknown."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        known = self.cost_usd is not None and other.cost_usd is not None
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_usd=(self.cost_usd or 0.0) + (other.cost_usd or 0.0) if known else None,
        )


class Spent(Contract):
    """What a run used up, together with everything below it in the tree of runs."""

    steps: int = 0
    usage: Usage = Usage()

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(steps=self.steps + other.steps, usage=self.usage + other.usage)


class Limits(PublicContract):
    """Where a run ends gracefully. None means no limit of that kind."""

    max_steps: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_cost_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    max_minutes: float | None = Field(default=None, gt=0, le=10 * 366 * 24 * 60)
    """At most ten years: a time span that Python cannot hold would wedge the workflow."""

    def over(self, defaults: "Limits") -> "Limits":
        """These limits, with the ones left open taken from `defaults`."""
        return defaults.model_copy(update=self.model_dump(exclude_none=True))

    def within(self, others: "Limits") -> "Limits":
        """Of each kind the smaller limit."""
        both = others.model_dump(exclude_none=True)
        return self.model_copy(
            update={
                name: limit if (own := getattr(self, name)) is None else min(own, limit)
                for name, limit in both.items()
            }
        )


SandboxKind = Literal["auto", "docker", "bwrap", "none"]


class SandboxSpec(PublicContract):
    """How an agent's commands are isolated, and what they may use."""

    kind: SandboxKind | None = None
    """None leaves it to the worker's setting, which is `auto`: the strongest that is there."""
    image: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*([.:@/][A-Za-z0-9_-]+)*$", max_length=200
    )
    """The Docker image; None for the worker's setting."""
    network: bool = False
    memory_mb: int = Field(default=1024, ge=16)
    cpus: float = Field(default=1.0, gt=0, le=1024, allow_inf_nan=False)
    processes: int = Field(default=256, ge=4)
    disk_mb: int = Field(default=2048, ge=1)
    """Of all files in the workspace together."""
    seconds: float = Field(default=600.0, gt=0, le=1200)
    """For one command."""
    output_bytes: int = Field(default=1_000_000, ge=1000, le=1_000_000)
    """Of one command's output that are kept: half from its beginning, half from its end."""


class AgentSpec(PublicContract):
    """What an agent is: its instructions, its tools, its model, its limits and its sandbox."""

    name: str = _NAME
    description: str = ""
    instructions: str = Field(default="", max_length=200_000)
    model: str | None = _LABEL
    tools: tuple[str, ...] | None = None
    """Names of the tools it may call; None gives it every tool that the worker has."""
    limits: Limits = Limits()
    sandbox: SandboxSpec = SandboxSpec()
    output_schema: dict[str, Any] | None = None
    """JSON Schema of the answer that `finish` must carry; None for an answer in plain text."""


class Argument(Contract):
    """A text that an agent wrote. It stays in the store: in an argument of a call of a turn."""

    turn: str
    call: str
    path: tuple[str | int, ...]
    """Where in the call's arguments, such as `("tasks", 2, "task")`."""


class Answer(Contract):
    """The answer of a run that has ended. It stays in the store."""

    run: str


class Quote(Contract):
    """A text of the store that is shown at some place: only this pointer crosses the history."""

    text: Argument | Answer
    label: str = ""
    """A line above it."""


class Entry(Contract):
    """Something the model is shown before it thinks: stored under `id`, or given here as `text`."""

    kind: Literal["task", "result", "message", "notice"]
    id: str | None = None
    call: str | None = None
    """For a result: the id of the tool call that it answers."""
    text: str | None = None
    quotes: tuple[Quote, ...] = ()
    """Texts of the store that follow it."""
    key: str | None = None
    """Names it when it may come more than once: shown to the model only the first time."""


class Place(Contract):
    """Where a run's sandbox is: on one machine, whose workers serve a task queue of its own."""

    queue: str
    kind: Literal["docker", "bwrap", "none", "folder"]
    """`folder`: files only, where no command is to run or nothing would isolate it."""
    name: str
    """Of the sandbox: the run's id, numbered when the run had to move to another machine."""


class Parcel(Contract):
    """One thing that a team delivers to a member."""

    kind: Literal["message", "reply", "pause", "resume", "end"]
    """`end`: say the last words now; `text` says why."""
    text: str = ""
    quotes: tuple[Quote, ...] = ()
    ask: int = 0
    """For a reply: the number of the `Ask` that it answers."""
    is_ok: bool = True
    """For a reply: whether what was asked for was done."""
    key: str | None = None
    """For a message: names it among all of the team's."""


class Seat(Contract):
    """A run's place in a team, which is the workflow `Origin.parent`."""

    member: str
    """Such as `coder-2`."""
    kind: str
    """Such as `coder`: members of one kind take each other's tasks."""
    is_lead: bool = False
    task: str = ""
    """In the team's ledger; empty for the lead."""
    received: int = 0
    """So many parcels were delivered to the member's earlier runs."""
    parcels: tuple[Parcel, ...] = ()
    """Those that wait for this run, in order: they count as received."""
    needs: tuple[Quote, ...] = ()
    """The results that the task builds on."""
    restarted: str = ""
    """Why the run before this one ended, when it is the same task that goes on from its head."""
    unshown: tuple[Entry, ...] = ()
    """The results that the run before this one did not come to show its model."""
    commons: str | None = None
    """The run whose files all members share; None gives each member its own."""
    place: Place | None = None
    """Where the shared files are."""


class Origin(Contract):
    """Whose child a run is: filled in by the workflow that starts it."""

    parent: str
    """The workflow's id."""
    depth: int
    """1 for a child of a run or team that somebody outside started."""
    task: Argument | None = None
    """The whole task, of which the request has the beginning."""
    model: str | None = None
    """For an agent that names none."""
    seat: Seat | None = None


class AgentRequest(PublicContract):
    """One task for one agent: the input of `AgentWorkflow`."""

    task: str = Field(pattern=r"\S", max_length=200_000)
    agent: str | AgentSpec = "assistant"
    model: str | None = _LABEL
    limits: Limits = Limits()
    head: str | None = Field(default=None, pattern=r"^t-[0-9a-f]{24}$")
    """Turn to continue from: an earlier run's head, or any turn of its past to fork there."""
    conversation: str | None = _LABEL
    user: str | None = _LABEL
    workspace: str | None = None
    """Absolute path of a folder on a worker's machine: the agent begins with a copy of it."""
    sandbox: SandboxKind | None = None
    """Instead of the kind that the agent names."""
    output_schema: dict[str, Any] | None = None
    origin: Origin | None = None
    """Filled in by the workflow that starts this one as its child; leave it out."""
    progress: "Progress | None" = None
    """Filled in by the workflow itself when it continues as new; leave it out."""


class OpenRun(Contract):
    """Input of `open_run`: resolve the agent and record the run."""

    run: str
    workflow_id: str
    request: AgentRequest


class OpenSandbox(Contract):
    """Input of `open_sandbox`: give the run a place for its tools."""

    run: str
    workflow_id: str
    executes: bool
    """Whether the agent may run commands."""
    source: str | None = None
    """Folder whose files the run begins with."""
    earlier: Place | None = None
    """Where the run has been, when no worker serves that place any more."""


class CloseSandbox(Contract):
    """Input of `close_sandbox`: record the last state of the files, and leave nothing behind."""

    run: str
    place: Place
    head: str | None


class RunPlan(Contract):
    """What `open_run` settled: everything the loop needs and nothing more."""

    run: str
    agent: str
    model: str
    limits: Limits
    task: Entry
    task_preview: str
    executes: bool = False
    """Whether the agent has a tool that runs commands."""
    most_children: int = 0
    """So many runs it may delegate to at once; 0 where it is too deep in the tree for any."""
    delegates: bool = False
    """Whether the agent has the tool `delegate`."""


class ThinkInput(Contract):
    """Input of `think`. `key` is chosen by the workflow, so a retry finds the stored turn."""

    run: str
    key: str
    head: str | None
    entries: tuple[Entry, ...]
    closing: str | None = None
    """Why this is the run's last think, without tools; None for an ordinary one."""


class Call(Contract):
    """One tool call as the workflow needs it: arguments only where it carries them out itself."""

    id: str
    tool: str
    summary: str
    arguments: dict[str, Any] | None = None
    """For a control tool; the arguments of others stay in the store."""
    digest: str = ""
    """Of the whole call: two that are alike do the same."""
    problem: str | None = None
    """Why it cannot be carried out (unknown tool, wrong arguments); told to the model."""


class Decision(Contract):
    """Output of `think`: the new head and what to do next."""

    head: str
    thought: str = ""
    calls: tuple[Call, ...] = ()
    answer: str | None = None
    """Set when the reply is the final answer itself, without a call of `finish`."""
    problem: str | None = None
    """Why the reply is of no use (empty, cut off, not JSON); told to the model."""
    usage: Usage = Usage()


class ActInput(Contract):
    """Input of `act`: which call of which stored turn to carry out, under which key."""

    run: str
    key: str
    turn: str
    call: str
    place: Place
    owner: str | None = None
    """The run whose files the place holds, where they are not this run's own."""


class Observation(Contract):
    """Output of `act`: where the result is stored, and how it begins."""

    result: str
    status: Literal["ok", "error", "unknown"]
    preview: str
    digest: str = ""
    """Of the whole result: two that are alike say the same."""


class LiveOutput(Contract):
    """Heartbeat of `act`: what the call has printed so far, for those who watch."""

    call: str
    total: int
    """Bytes."""
    tail: str
    """The last of it."""


class AgentResult(Contract):
    """How a run ended, with its best answer: the output of `AgentWorkflow`."""

    status: RunStatus
    answer: str
    """The final answer, or the best partial one; cut at 64,000 characters (whole in the store)."""
    output: Any = None
    """The validated answer when the request or the agent gave an output schema."""
    reason: str = ""
    """For every status but `completed`: what happened and what to do, in a sentence."""
    head: str | None
    steps: int
    """With those of the runs below it, as `usage`."""
    usage: Usage

    @classmethod
    def of_nothing(cls, status: RunStatus, reason: str, head: str | None = None) -> Self:
        """Of what has ended before it came to anything of its own."""
        return cls(status=status, answer="", reason=reason, head=head, steps=0, usage=Usage())

    @property
    def beginning(self) -> Self:
        """Without what only the store needs to hold."""
        answer = self.answer[:BEGINNING_CHARACTERS]
        return self.model_copy(update={"answer": answer, "output": None})


class CloseRun(Contract):
    """Input of `close_run`: record how the run ended."""

    run: str
    result: AgentResult


class Message(PublicContract):
    """A message for a running agent: the input of the update `tell`."""

    text: str = Field(min_length=1, max_length=32_000)
    sender: str = Field(default="user", max_length=64)


class Ask(Contract):
    """Signal `ask` of a member to its team: a call that the team answers by a delivery."""

    member: str
    run: str
    """The member's workflow id: a run that the team knows no more is not answered."""
    execution: str
    """Temporal's id of the execution: another one after a reset, or after continue-as-new."""
    number: int
    """1, 2, …: a member asks one thing at a time."""
    tool: str
    """One of the team's; the lead may also ask `finish` (may it end now?) and `hand_over`."""
    turn: str
    call: str
    arguments: dict[str, Any]
    read: int
    """The number of the last parcel that was shown to the model."""
    spent: Spent = Spent()
    """By the run so far, with all below it."""


class Delivery(Contract):
    """Signal `deliver` to a member: parcels in the order in which the team took them in."""

    first: int
    """The first one's number; a member's parcels are numbered from 1 through all of its runs."""
    parcels: tuple[Parcel, ...]


class Report(Contract):
    """Signal `report` of a member to its team: its run has ended, and left nothing behind."""

    member: str
    workflow_id: str
    run: str | None
    """None for one that could not even be opened."""
    result: AgentResult
    """Only the beginning of its answer."""
    read: int
    """The number of the last parcel that was shown to the model."""
    unshown: tuple[Entry, ...] = ()
    """The results of calls that were not shown to it any more."""


class Progress(Contract):
    """What a run carries through continue-as-new: a pointer and a few counters."""

    plan: RunPlan
    started: datetime
    head: str | None
    steps: int
    usage: Usage
    entries: tuple[Entry, ...]
    answer: str
    fruitless: int
    last_step: str
    recent: tuple[str, ...]
    place: Place | None = None
    below: Spent = Spent()
    children: int = 0
    asked: int = 0
    received: int = 0
    read: int = 0


class RunState(Contract):
    """Answer of the query `status`."""

    status: RunStatus
    agent: str
    model: str
    doing: str
    head: str | None
    steps: int
    usage: Usage
    result: AgentResult | None = None
