"""A server's tool, as models and the runner see it."""

from typing import Any

import pytest
from mcp.types import Tool as ListedTool
from mcp.types import ToolAnnotations

from perdure.errors import PerdureError, ToolError
from perdure.tools.mcp.tool import McpTool
from perdure.tools.registry import AnyTool

SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {"size": {"$ref": "#/definitions/size"}},
    "required": ["size"],
    "definitions": {"size": {"type": "integer"}},
}


async def echo(tool: McpTool, arguments: dict[str, Any]) -> str:
    return f"{tool.listed} {arguments}"


def listed(schema: dict[str, Any], hints: ToolAnnotations | None = None) -> McpTool:
    tool = ListedTool(name="a.b", description="Do it.", input_schema=schema, annotations=hints)
    return McpTool.of("docs", tool, echo)


def test_it_has_the_face_of_any_tool() -> None:
    """Its name and its schema are as the APIs of models take them."""
    tool: AnyTool = listed(SCHEMA)
    assert tool.name.startswith("docs__a_b-")
    assert tool.description == "Do it."
    assert tool.parameters == {key: SCHEMA[key] for key in SCHEMA if key != "$schema"}
    assert listed({"type": "object"}).parameters == {"type": "object", "properties": {}}


def test_arguments_are_checked_against_the_servers_schema() -> None:
    """What does not fit is explained before the server is asked."""
    assert listed(SCHEMA).check('{"size": 3}') == {"size": 3}
    with pytest.raises(ToolError, match=r"docs__.* takes size, .* at \$\.size 'x' is not of type"):
        listed(SCHEMA).check('{"size": "x"}')
    with pytest.raises(ToolError, match="not valid JSON"):
        listed(SCHEMA).check("{")


@pytest.mark.parametrize(
    ("hints", "replay"),
    [
        (None, "unsafe"),
        (ToolAnnotations(), "unsafe"),
        (ToolAnnotations(idempotent_hint=True), "idempotent"),
        (ToolAnnotations(read_only_hint=True, idempotent_hint=True), "safe"),
        (ToolAnnotations(read_only_hint=False), "unsafe"),
    ],
)
def test_a_call_is_repeated_only_if_the_server_says_so(
    hints: ToolAnnotations | None, replay: str
) -> None:
    """Without a word of the server's a second call may do harm."""
    assert listed(SCHEMA, hints).replay == replay


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strnig"},
        {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.org/a"}}},
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: dict[str, Any]) -> None:
    """One such tool would make a model's API refuse all of them."""
    with pytest.raises(PerdureError):
        listed(schema)
