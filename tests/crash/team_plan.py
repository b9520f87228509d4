"""What a team in the chaos has to do, and what goes wrong on the way."""

from random import Random

from pydantic import BaseModel, ConfigDict

from perdure.contracts import AgentSpec, Limits, SandboxSpec
from perdure.teams.contracts import MemberGroup, Supervision, TeamSpec

LEAD = "chief"
GOAL = "Reach the goal."
SHELL = "coder"
"""The kind whose effects are commands; those of the others are calls of `write`."""
STINTS = 6
"""So many steps a `reviewer` has for one run: a longer job takes more than one."""
_TOOLS = {LEAD: (), SHELL: ("execute_shell",)}


class Job(BaseModel):
    """One task: each step has an effect and sends a message, and the last one finishes."""

    model_config = ConfigDict(frozen=True)

    id: str
    to: str
    needs: tuple[str, ...] = ()
    sends: tuple[str, ...] = ()
    """To whom, by step."""
    refused: dict[int, int] = {}
    """By step: so many requests are refused for good, which ends the run."""
    silent: dict[int, int] = {}
    """By step: so many requests are never answered."""
    stalls: int | None = None
    """The step in which a tool call hangs for ever, unless it is a command."""

    @property
    def key(self) -> str:
        """Stands in the task's text and nowhere else."""
        return f"Do job {self.id}."

    @property
    def text(self) -> str:
        # Tables of tasks show how each begins.
        return f"{'This is one of many jobs. ' * 12}{self.key}"

    @property
    def answer(self) -> str:
        return f"made {self.id}"

    def line(self, step: int, member: str) -> str:
        """The trace that the step's effect leaves."""
        return f"{self.id}.{step} {member}"

    def words(self, step: int, member: str) -> str:
        """Of the step's message: said by nobody else, and only once."""
        return f"«{self.id}.{step} {member}»"


class Plan(BaseModel):
    """The lead assigns the jobs, and in the end one to each member, so that it reads its mail."""

    model_config = ConfigDict(frozen=True)

    counts: dict[str, int]
    """Of members, by kind."""
    jobs: tuple[Job, ...]
    lead_refused: dict[int, int] = {}
    """By reply of the lead's: so many requests are refused for good."""
    effects: str = ""
    """The file to which effects are appended."""

    @property
    def groups(self) -> tuple[MemberGroup, ...]:
        return tuple(
            MemberGroup(
                agent=AgentSpec(
                    name=kind,
                    tools=_TOOLS.get(kind, ("write", "stall")),
                    sandbox=SandboxSpec(kind="none"),
                    limits=Limits(max_steps=STINTS if kind == "reviewer" else 50),
                ),
                count=count,
            )
            for kind, count in self.counts.items()
        )

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(name for group in self.groups for name in group.names)

    @property
    def last_jobs(self) -> tuple[Job, ...]:
        return tuple(Job(id=f"last-{name}", to=name) for name in self.members)

    def team(self, supervision: Supervision) -> TeamSpec:
        return TeamSpec(
            name="chaos",
            lead=MemberGroup(
                agent=AgentSpec(name=LEAD, tools=(), limits=Limits(max_steps=5000)),
            ),
            members=self.groups,
            limits=Limits(max_steps=100_000, max_cost_usd=10_000),
            supervision=supervision,
        )


def small_plan() -> Plan:
    """Six jobs for two members, of which one is refused and one takes two runs."""
    sends = ("worker-1", "worker-2", LEAD)
    jobs = [
        Job(
            id=f"j{number}",
            to="worker",
            needs=() if number < 3 else (f"j{number - 3}",),
            sends=(sends[number % 3], sends[(number + 1) % 3]),
            refused={1: 1} if number == 4 else {},
        )
        for number in range(6)
    ]
    return Plan(counts={"worker": 2}, jobs=tuple(jobs))


def large_plan(random: Random, jobs: int) -> Plan:
    """Jobs that need earlier ones, for ten members of three kinds, with every kind of trouble."""
    plan = Plan(counts={SHELL: 4, "researcher": 3, "reviewer": 3}, jobs=())
    everybody = [LEAD, *plan.members]
    made: list[Job] = []
    for number in range(jobs):
        is_long, stalls = number % 10 == 5, number % 30 == 13
        kind = random.choice([*plan.counts])
        kind = "reviewer" if is_long else "researcher" if stalls else kind
        steps = random.randint(STINTS, STINTS + 3) if is_long else random.randint(1, 4)
        earlier = [job.id for job in made[-15:]]
        made.append(
            Job(
                id=f"j{number:02}",
                to=kind,
                needs=tuple(random.sample(earlier, k=min(len(earlier), random.randint(0, 2)))),
                sends=tuple(random.choice(everybody) for _ in range(steps)),
                refused={random.randrange(steps + 1): random.randint(1, 2)}
                if number % 5 == 1
                else {},
                silent={random.randrange(steps + 1): 1} if number % 30 == 7 else {},
                stalls=random.randrange(steps) if stalls else None,
            )
        )
    made[2] = made[2].model_copy(update={"refused": {0: 10}})  # which puts a member out
    return plan.model_copy(
        update={"jobs": tuple(made), "lead_refused": {3: 1, 9: 1}},
    )
