"""The control tools of agents that work together: what they take, and what models are told."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from perdure.errors import ToolError
from perdure.tools.control import ControlTool
from perdure.tools.team_control import (
    ASSIGN,
    CANCEL_TASKS,
    DELEGATE,
    LEADS,
    LIST_TASKS,
    MEMBERS,
    SEND_MESSAGE,
    WAIT_FOR_TASKS,
)

TOOLS = (DELEGATE, *MEMBERS, *LEADS)
TASK = {"id": "api-tests", "task": "Test the API.", "to": "coder"}
LONG = "x" * 16_001


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (DELEGATE, {"agent": "coder", "task": "Do it."}),
        (DELEGATE, {"agent": "coder", "task": "x" * 16_000, "share": 1}),
        (SEND_MESSAGE, {"to": "coder-2", "text": "Look."}),
        (SEND_MESSAGE, {"to": "coder-2", "text": "Look.", "files": ["src/a.py", "docs"]}),
        (ASSIGN, {"tasks": [TASK, TASK | {"id": "b", "depends_on": ["api-tests"]}]}),
        (ASSIGN, {"tasks": [TASK | {"depends_on": []}] * 100}),
        (LIST_TASKS, {}),
        (LIST_TASKS, {"tasks": ["a"]}),
        (WAIT_FOR_TASKS, {}),
        (WAIT_FOR_TASKS, {"tasks": ["a", "b_2"], "seconds": 0.5}),
        (CANCEL_TASKS, {"tasks": ["a"]}),
    ],
)
def test_what_fits_is_taken(tool: ControlTool, arguments: dict[str, Any]) -> None:
    """As it is, whatever may be left out."""
    assert tool.check(json.dumps(arguments)) == arguments


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        (DELEGATE, {"task": "Do it."}, "'agent' is a required property"),
        (DELEGATE, {"agent": "coder", "task": " \n"}, r"at \$\.task"),
        (DELEGATE, {"agent": "coder", "task": LONG}, r"at \$\.task .* is too long"),
        (DELEGATE, {"agent": "coder", "task": "a", "share": 0}, r"at \$\.share"),
        (DELEGATE, {"agent": "coder", "task": "a", "share": 1.1}, r"at \$\.share"),
        (SEND_MESSAGE, {"to": "", "text": "a"}, r"at \$\.to"),
        (SEND_MESSAGE, {"to": "a", "text": LONG}, r"at \$\.text .* is too long"),
        (SEND_MESSAGE, {"to": "a", "text": "a", "files": ["f"] * 21}, r"at \$\.files"),
        (SEND_MESSAGE, {"to": "a", "text": "a", "files": [""]}, r"at \$\.files\[0\]"),
        (ASSIGN, {"tasks": []}, r"at \$\.tasks"),
        (ASSIGN, {"tasks": [TASK] * 101}, r"at \$\.tasks"),
        (ASSIGN, {"tasks": [TASK, TASK | {"id": "Api Tests"}]}, r"at \$\.tasks\[1\]\.id 'Api Te"),
        (ASSIGN, {"tasks": [TASK | {"id": "a" * 41}]}, r"at \$\.tasks\[0\]\.id"),
        (ASSIGN, {"tasks": [TASK | {"id": "a\n"}]}, r"at \$\.tasks\[0\]\.id"),
        (ASSIGN, {"tasks": [TASK | {"task": LONG}]}, r"at \$\.tasks\[0\]\.task .* is too long"),
        (ASSIGN, {"tasks": [TASK | {"depends_on": ["a"] * 51}]}, r"\.depends_on"),
        (ASSIGN, {"tasks": [TASK | {"when": "now"}]}, "'when' was unexpected"),
        (LIST_TASKS, {"tasks": "a"}, "is not of type 'array'"),
        (WAIT_FOR_TASKS, {"seconds": 0}, r"at \$\.seconds"),
        (CANCEL_TASKS, {}, "'tasks' is a required property"),
    ],
)
def test_what_does_not_fit_is_explained(
    tool: ControlTool, arguments: dict[str, Any], sentence: str
) -> None:
    """With its place among many tasks, so that the model can mend that one."""
    with pytest.raises(ToolError, match=sentence) as refused:
        tool.check(json.dumps(arguments))
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_what_models_are_told_is_bounded_nowhere(tool: ControlTool) -> None:
    """A server that makes a grammar of all tools refuses the lot for one bound that is too long."""
    Draft202012Validator.check_schema(tool.parameters)
    bounds = {"pattern", "minLength", "maxLength", "minItems", "maxItems"}
    assert not bounds & set(_keys(tool.parameters))
    assert {"type", "properties", "required", "additionalProperties"} == set(tool.parameters)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_argument_is_described(tool: ControlTool) -> None:
    """But the time to wait, which says it by its name."""
    described = {name for name, each in tool.parameters["properties"].items() if _told(each)}
    assert described | {"seconds"} >= set(tool.parameters["properties"])


def _told(schema: dict[str, Any]) -> bool:
    return bool(schema.get("description"))


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _keys(each)
