"""What a model is offered: the common face of tools and control tools."""

from collections.abc import Iterator, Sequence

from perdure import contracts
from perdure.contracts import AgentSpec, Seat
from perdure.tools import team_control
from perdure.tools.control import WAIT, ControlTool, finish_tool
from perdure.tools.registry import Offer, Registry


def offers(
    registry: Registry, spec: AgentSpec, allowed: Sequence[str] | None, seat: Seat | None = None
) -> dict[str, Offer]:
    """What the agent may call, by name; `allowed` is what its model can cope with, None for all.

    A run with a `seat` has the tools of teams, whatever its agent names; one without has none.

    Raises:
        PerdureError: the agent names a tool that is unknown, or its output schema is wrong.
    """
    of_teams = registry.team_tools()
    chosen: list[Offer] = [tool for tool in registry.select(spec.tools) if tool not in of_teams]
    if seat is not None:
        chosen += of_teams
    chosen += _control_tools(spec, seat)
    offered = [each for each in chosen if allowed is None or each.name in allowed]
    return {each.name: each for each in [*offered, finish_tool(spec.output_schema)]}


def _control_tools(spec: AgentSpec, seat: Seat | None) -> Iterator[ControlTool]:
    yield WAIT
    if contracts.DELEGATE in (spec.tools or ()):
        yield team_control.DELEGATE
    if seat is not None:
        yield from team_control.MEMBERS
        if seat.is_lead:
            yield from team_control.LEADS
