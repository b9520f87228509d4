"""The registry: every tool that this worker has, its own and those that other projects install."""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points

from perdure.errors import PerdureError
from perdure.tools.control import CONTROL_NAMES
from perdure.tools.tool import Tool

GROUP = "perdure.tools"


class Registry:
    """Tools by name, in the order in which they were given."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            self._add(tool)

    @classmethod
    def load(cls) -> "Registry":
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
        return cls(tools.values())

    def find(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def select(self, names: Iterable[str] | None) -> tuple[Tool, ...]:
        """The tools of these names, each once; None gives all.

        Control tools may be named but are not among them: the workflow carries them out.
        """
        if names is None:
            return tuple(self._tools.values())
        return tuple(self._get(name) for name in dict.fromkeys(names) if name not in CONTROL_NAMES)

    def _add(self, tool: Tool) -> None:
        if tool.name in CONTROL_NAMES:
            raise PerdureError(
                f"No tool can be called '{tool.name}': the workflow itself carries that one out."
            )
        if self._tools.setdefault(tool.name, tool) is not tool:
            raise PerdureError(f"Two tools are called '{tool.name}'; rename one of them.")

    def _get(self, name: str) -> Tool:
        if tool := self._tools.get(name):
            return tool
        close = get_close_matches(name, self._tools, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        known = ", ".join(sorted(self._tools)) or "none"
        raise PerdureError(f"Tool '{name}' is unknown.{hint} Known tools: {known}.")


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
