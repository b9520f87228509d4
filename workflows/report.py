"""What Temporal's Web UI shows and finds of a run."""

from collections.abc import Sequence
from typing import Any

from temporalio.common import SearchAttributeUpdate

from perdure import attributes
from perdure.contracts import AgentRequest, RunState


def found_by(state: RunState, request: AgentRequest) -> list[SearchAttributeUpdate[Any]]:
    """The search attributes of a run; those that have no value yet are left out."""
    values = (
        (attributes.AGENT_NAME, state.agent or None),
        (attributes.AGENT_MODEL, state.model or None),
        (attributes.AGENT_STATUS, str(state.status)),
        (attributes.AGENT_STEPS, state.steps),
        (attributes.AGENT_COST_USD, state.usage.cost_usd),
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
    if state.result is not None:
        lines += ["", state.result.reason, "", state.result.answer[:2000]]
    return "\n".join(lines)
