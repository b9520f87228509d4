"""Agents in files."""

from perdure.contracts import AgentSpec
from perdure.errors import UnknownAgent
from perdure.front_matter import Definitions


class Agents(Definitions[AgentSpec]):
    """The agents of some folders."""

    what = "agent"
    spec = AgentSpec
    unknown = UnknownAgent
