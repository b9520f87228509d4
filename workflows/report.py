"""What Temporal's Web UI shows and finds of a run, and of a team."""

from collections.abc import Sequence
from typing import Any

from temporalio.common import SearchAttributeUpdate

from perdure import attributes
from perdure.contracts import AgentRequest, AgentResult, RunState
from perdure.teams import overview
from perdure.teams.contracts import TeamRequest, TeamState

_MOST_ROWS = 40
"""Of a table: the details stay below 20 kB."""
_GOAL_CHARACTERS = 300
_ANSWER_CHARACTERS = 2000
_TEAMS_ANSWER_CHARACTERS = 500


def found_by(state: RunState, request: AgentRequest) -> list[SearchAttributeUpdate[Any]]:
    """The search attributes of a run; those that have no value yet are left out."""
    origin = request.origin
    team = origin.parent if origin and origin.seat else None
    return _found_by(state, request, team)


def team_found_by(
    state: TeamState, request: TeamRequest, team_id: str
) -> list[SearchAttributeUpdate[Any]]:
    """The search attributes of a team, which is found by its own id as its members are."""
    return _found_by(state, request, team_id)


def _found_by(
    state: RunState, request: AgentRequest | TeamRequest, team: str | None
) -> list[SearchAttributeUpdate[Any]]:
    values = (
        (attributes.AGENT_NAME, state.agent or None),
        (attributes.AGENT_MODEL, state.model or None),
        (attributes.AGENT_STATUS, str(state.status)),
        (attributes.AGENT_STEPS, state.steps),
        (attributes.AGENT_COST_USD, state.usage.cost_usd),
        (attributes.TEAM_ID, team),
        (attributes.USER_ID, request.user),
        (attributes.CONVERSATION_ID, request.conversation),
    )
    return [key.value_set(value) for key, value in values if value is not None]  # type: ignore[arg-type] # each value is of its key's type


def markdown(state: RunState, task: str, recent: Sequence[str]) -> str:
    """The state in a line, then the latest steps."""
    cost = "unknown cost" if state.usage.cost_usd is None else f"${state.usage.cost_usd:.4f}"
    lines = [
        f"**{state.status}** — {state.doing}",
        "",
        " · ".join(
            (
                f"{state.agent} on {state.model}",
                f"{state.steps} steps",
                f"{state.usage.tokens:,} tokens",
                cost,
            )
        ),
        "",
        f"> {task}",
        "",
        *(f"- {line}" for line in recent),
    ]
    return "\n".join([*lines, *_ending(state.result, _ANSWER_CHARACTERS)])


def team_markdown(state: TeamState) -> str:
    """The state in a line, then the members, then the ledger: what `watch` shows."""
    members, tasks = overview.members(state, _MOST_ROWS), overview.tasks(state, _MOST_ROWS)
    goal = " ".join(state.goal.split())[:_GOAL_CHARACTERS]
    lines = [
        f"**{state.status}** — {state.doing}",
        "",
        overview.headline(state),
        "",
        f"> {goal}",
        "",
        *_table(overview.MEMBER_COLUMNS, members),
        "",
        f"**Tasks**: {overview.ledger(state.tasks)}",
        "",
        *_table(overview.TASK_COLUMNS, tasks),
    ]
    return "\n".join([*lines, *_ending(state.result, _TEAMS_ANSWER_CHARACTERS)])


def _ending(result: AgentResult | None, most: int) -> list[str]:
    return ["", result.reason[:most], "", result.answer[:most]] if result else []


def _table(columns: Sequence[str], rows: overview.Rows) -> list[str]:
    if not rows.shown:
        return []
    lines = [columns, ["---"] * len(columns), *([_escaped(c) for c in row] for row in rows.shown)]
    table = [f"| {' | '.join(line)} |" for line in lines]
    return [*table, "", rows.rest] if rows.rest else table


def _escaped(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|")
