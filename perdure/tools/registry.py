"""The registry: every tool that this worker has, whoever wrote it and whoever carries it out."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from perdure.errors import PerdureError
from perdure.hints import did_you_mean
from perdure.tools.control import CONTROL_NAMES
from perdure.tools.mcp.pool import McpServers
from perdure.tools.tool import Replay, Tool, ToolContext

GROUP = "perdure.tools"


class Offer(Protocol):
    """Something that a model may call, whoever carries it out."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def parameters(self) -> dict[str, Any]: ...

    def check(self, arguments: str) -> dict[str, Any]: ...


class AnyTool(Offer, Protocol):
    """The face of a tool: a function of this process (`Tool`) or one of a server (`McpTool`)."""

    @property
    def replay(self) -> Replay: ...

    async def call(self, context: ToolContext, arguments: dict[str, Any]) -> str: ...


class Registry:
    """Tools by name, in the order in which they were given; then those that servers have now."""

    def __init__(self, tools: Iterable[Tool], servers: McpServers | None = None) -> None:
        """`servers` may be opened later; their tools come and go.

        Raises:
            PerdureError: a name is taken: by another tool, a control tool, or a server's tools.
        """
        self._tools: dict[str, Tool] = {}
        self._servers = servers or McpServers((), Path())  # none at all
        for tool in tools:
            self._add(tool)

    @classmethod
    def load(cls, servers: McpServers | None = None) -> "Registry":
        """Take the tools of every installed distribution with entry points in `perdure.tools`.

        Raises:
            PerdureError: names the distribution that cannot be loaded, or the two that clash.
        """
        tools: dict[str, Tool] = {}
        origins: dict[str, str] = {}
        for entry in sorted(entry_points(group=GROUP), key=lambda entry: (_origin(entry), entry)):
            for tool in _tools(entry):
                if tools.setdefault(tool.name, tool) is not tool:
                    raise PerdureError(
                        f"Two tools are called '{tool.name}': one of {origins[tool.name]} and one "
                        f"of {_origin(entry)}. Uninstall one of them, or rename its tool."
                    )
                origins.setdefault(tool.name, _origin(entry))
        return cls(tools.values(), servers)

    def find(self, name: str) -> AnyTool | None:
        return self._tools.get(name) or self._servers.find(name)

    def select(self, names: Iterable[str] | None) -> tuple[AnyTool, ...]:
        """The tools of these names, each once; None gives all, and `docs__*` all that fit it.

        Control tools may be named but are not among them: the workflow carries them out.
        """
        known = self._known()
        if names is None:
            return tuple(known.values())
        chosen: dict[str, AnyTool] = {}
        for name in names:
            if name not in CONTROL_NAMES:
                chosen |= self._get(name, known)
        return tuple(chosen.values())

    def team_tools(self) -> tuple[AnyTool, ...]:
        """Those that work in a team only."""
        return tuple(tool for tool in self._tools.values() if tool.needs_team)

    def _known(self) -> dict[str, AnyTool]:
        return {**self._tools, **{tool.name: tool for tool in self._servers.tools()}}

    def _add(self, tool: Tool) -> None:
        if tool.name in CONTROL_NAMES:
            raise PerdureError(
                f"No tool can be called '{tool.name}': the workflow itself carries that one out."
            )
        if self._tools.setdefault(tool.name, tool) is not tool:
            raise PerdureError(f"Two tools are called '{tool.name}'; rename one of them.")
        if server := self._servers.owner(tool.name):
            raise PerdureError(
                f"No tool can be called '{tool.name}': such names belong to MCP server '{server}'. "
                "Rename one of them."
            )

    def _get(self, name: str, known: dict[str, AnyTool]) -> dict[str, AnyTool]:
        """The tool of that name, or those whose names fit it, of all that are `known`."""
        if name in known:
            return {name: known[name]}
        if fitting := {each: tool for each, tool in known.items() if fnmatchcase(each, name)}:
            return fitting
        if problem := self._servers.problem(name):
            raise PerdureError(f"Tool '{name}' is not known yet. {problem}")
        told = ", ".join(sorted(known)) or "none"
        raise PerdureError(
            f"Tool '{name}' is unknown.{did_you_mean(name, known)} Known tools: {told}."
        )


def _origin(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value


def _tools(entry: EntryPoint) -> tuple[Tool, ...]:
    try:
        loaded = entry.load()
    except Exception as error:  # whatever another project's module raises while it is imported
        raise PerdureError(
            f"The tools of {_origin(entry)} ({entry.value}) cannot be loaded: "
            f"{type(error).__name__}: {error}. Mend or uninstall {_origin(entry)}."
        ) from error
    tools = (loaded,) if isinstance(loaded, Tool) else loaded
    if not isinstance(tools, Iterable):
        raise _no_tool(entry, tools)
    return tuple(_checked(entry, each) for each in tools)


def _checked(entry: EntryPoint, value: object) -> Tool:
    if not isinstance(value, Tool):
        raise _no_tool(entry, value)
    return value


def _no_tool(entry: EntryPoint, value: object) -> PerdureError:
    return PerdureError(
        f"The entry point {entry.value} of {_origin(entry)} gives a {type(value).__name__} "
        "where a Tool belongs; decorate the function with @tool."
    )
