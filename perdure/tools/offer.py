"""What a model is offered: the common face of tools and control tools."""

from collections.abc import Sequence

from perdure.contracts import AgentSpec
from perdure.tools.control import WAIT, finish_tool
from perdure.tools.registry import Offer, Registry


def offers(registry: Registry, spec: AgentSpec, allowed: Sequence[str] | None) -> dict[str, Offer]:
    """What the agent may call, by name; `allowed` is what its model can cope with, None for all.

    Raises:
        PerdureError: the agent names a tool that is unknown, or its output schema is wrong.
    """
    chosen: list[Offer] = [
        tool for tool in registry.select(spec.tools) if allowed is None or tool.name in allowed
    ]
    if allowed is None:
        chosen.append(WAIT)
    return {each.name: each for each in [*chosen, finish_tool(spec.output_schema)]}
