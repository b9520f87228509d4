"""A run's current details, in Markdown, for Temporal's Web UI."""

from collections.abc import Sequence

from perdure.contracts import RunState


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
