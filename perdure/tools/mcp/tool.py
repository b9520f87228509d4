"""A tool of an MCP server, with the face of any other tool."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from mcp.types import Tool as ListedTool
from mcp.types import ToolAnnotations

from perdure.tools.control import ControlTool, finish_tool
from perdure.tools.mcp.names import tool_name
from perdure.tools.tool import Replay, ToolContext

_LONGEST_DESCRIPTION = 10_000
"""Characters: every step pays for them."""

Calls = Callable[["McpTool", dict[str, Any]], Awaitable[str]]


@dataclass(frozen=True, slots=True, eq=False)
class McpTool:
    """Something that a model may call and a server carries out."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments."""
    replay: Replay
    listed: str
    """The server's own name for it."""
    calls: Calls

    @classmethod
    def of(cls, server: str, tool: ListedTool, calls: Calls) -> "McpTool":
        """The tool that a server lists.

        Raises:
            PerdureError: its schema is none that a model or a check could use.
        """
        finish_tool(tool.input_schema)  # for what it refuses: models are to follow this one too
        return cls(
            name=tool_name(server, tool.name),
            description=(tool.description or tool.title or tool.name)[:_LONGEST_DESCRIPTION],
            parameters=_parameters(tool.input_schema),
            replay=_replay(tool.annotations),
            listed=tool.name,
            calls=calls,
        )

    def check(self, arguments: str) -> dict[str, Any]:
        """The arguments in the model's JSON text.

        Raises:
            ToolError: names the JSON path of each value that does not fit, and why.
        """
        # As plain JSON is checked everywhere; it is the server that carries this one out.
        return ControlTool(self.name, self.description, self.parameters).check(arguments)

    async def call(self, context: ToolContext, arguments: dict[str, Any]) -> str:
        """Have the server carry out the call with `arguments` from `check`."""
        return await self.calls(self, arguments)


def _parameters(schema: dict[str, Any]) -> dict[str, Any]:
    # Some models' APIs refuse an object without properties, and any word of which draft it is.
    told = {key: value for key, value in schema.items() if key not in {"$schema", "$id"}}
    return {"type": "object", "properties": {}} | told


def _replay(hints: ToolAnnotations | None) -> Replay:
    if hints is not None and hints.read_only_hint:
        return "safe"
    if hints is not None and hints.idempotent_hint:
        return "idempotent"
    return "unsafe"
