"""Teams for tests, with only what matters filled in."""

from datetime import UTC, datetime, timedelta
from typing import Any

from perdure.contracts import AgentResult, Argument, RunStatus, Spent, Usage
from perdure.store.tables import Run
from perdure.teams.contracts import MemberState, TeamSpec, TeamState, TeamTask
from tests.model.turns import make_run

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TEAM = "team-t"


def member(name: str, standing: Any = "free", task: str = "", **fields: Any) -> MemberState:
    kind = name.partition("-")[0]
    return MemberState(name=name, kind=kind, model="m", standing=standing, task=task, **fields)


def task(id: str, status: Any = "waiting", member: str = "", **fields: Any) -> TeamTask:
    given = {"to": "coder", "about": f"Do {id}.", "text": Argument(turn="t", call="c", path=())}
    return TeamTask(**(given | {"id": id, "status": status, "member": member} | fields))


def state(*members: MemberState, tasks: Any = (), **fields: Any) -> TeamState:
    """A team that runs, its first member the lead."""
    given: dict[str, Any] = {
        "status": RunStatus.RUNNING,
        "agent": "crew",
        "model": "m",
        "doing": "at work",
        "head": None,
        "steps": 0,
        "usage": Usage(),
        "goal": "The goal.",
    }
    return TeamState(**(given | {"members": members, "tasks": tuple(tasks)} | fields))


def spent(steps: int, tokens: int = 0, cost: float | None = 0.0) -> Spent:
    return Spent(steps=steps, usage=Usage(input_tokens=tokens, cost_usd=cost))


def result(status: RunStatus = RunStatus.COMPLETED, **fields: Any) -> dict[str, Any]:
    """As a run's row keeps it."""
    given: dict[str, Any] = {"answer": "", "head": None, "steps": 0, "usage": Usage()}
    return AgentResult(**(given | {"status": status} | fields)).model_dump(mode="json")


def team_run(**fields: Any) -> Run:
    """The row of a team of a boss and two coders."""
    spec = TeamSpec.model_validate({"name": "crew", "lead": "boss", "members": ["coder:2"]})
    given: dict[str, Any] = {"id": "run-team", "workflow_id": TEAM, "agent": "crew", "model": "m"}
    more = {"task": "Goal.", "spec": spec.model_dump(mode="json"), "created_at": NOON}
    return Run(**(given | more | fields))


def run_of(member: str, number: int = 1, *, minute: int = 1, **fields: Any) -> Run:
    """A run of a member of that team."""
    run = make_run(f"{member}-{number}")
    values = {"parent": TEAM, "team": TEAM, "member": member}
    own = {"workflow_id": f"{TEAM}.{member}.{number}", "created_at": at(minute)}
    for name, value in (values | own | fields).items():
        setattr(run, name, value)
    return run


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)
