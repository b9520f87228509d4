"""When a run has to end: the limits it reached, in words."""

from datetime import timedelta

from perdure.contracts import Limits, RunStatus, Usage
from perdure.teams.overview import count


def out_of_time(limits: Limits) -> tuple[RunStatus, str]:
    """How a run ends whose effects did not end in time."""
    return RunStatus.OUT_OF_TIME, f"the limit of {limits.max_minutes:g} minutes is reached"


def reached(
    limits: Limits, *, steps: int, usage: Usage, elapsed: timedelta
) -> tuple[RunStatus, str] | None:
    """The status that a run ends with and the reason, or None while it may go on."""
    if limits.max_minutes is not None and elapsed >= timedelta(minutes=limits.max_minutes):
        return out_of_time(limits)
    if limits.max_steps is not None and steps >= limits.max_steps:
        return (
            RunStatus.OUT_OF_STEPS,
            f"the limit of {count(limits.max_steps, 'step')} is reached",
        )
    if limits.max_tokens is not None and usage.tokens >= limits.max_tokens:
        return (
            RunStatus.OUT_OF_BUDGET,
            f"the limit of {limits.max_tokens:,} tokens is reached",
        )
    cost = usage.cost_usd
    if limits.max_cost_usd is not None and cost is not None and cost >= limits.max_cost_usd:
        return (
            RunStatus.OUT_OF_BUDGET,
            f"the limit of ${limits.max_cost_usd:g} is reached",
        )
    return None
