"""The control tools: what they take, and what they say of arguments that do not fit."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from perdure.errors import PerdureError, ToolError
from perdure.tools.control import CONTROL_NAMES, WAIT, finish_tool
from perdure.tools.team_control import DELEGATE, LEADS, MEMBERS


class Part(BaseModel):
    """A definition that the output refers to."""

    name: str
    parts: "list[Part]" = []


class Report(BaseModel):
    """An output as an agent's author writes it."""

    parts: list[Part]


def test_the_names_are_those_of_the_tools() -> None:
    """The workflow decides by these names what it carries out itself."""
    tools = [WAIT, finish_tool(None), DELEGATE, *MEMBERS, *LEADS]
    assert {each.name for each in tools} == CONTROL_NAMES


def test_finish_takes_an_answer() -> None:
    """Without an output schema the answer is text."""
    assert finish_tool(None).check('{"answer": "42"}') == {"answer": "42"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("{}", "finish takes answer, .*: at \\$ 'answer' is a required property"),
        ('{"answer": 42}', r"at \$\.answer 42 is not of type 'string'"),
        ('{"answer": "a", "mood": "b"}', "'mood' was unexpected"),
        ("oops", "not valid JSON"),
    ],
)
def test_a_finish_that_does_not_fit_is_explained(arguments: str, sentence: str) -> None:
    """The model is told and may call again."""
    with pytest.raises(ToolError, match=sentence):
        finish_tool(None).check(arguments)


@pytest.mark.parametrize("seconds", [1, 0.5, 30 * 24 * 3600])
def test_wait_takes_seconds_up_to_thirty_days(seconds: float) -> None:
    """With a reason or without."""
    assert WAIT.check(json.dumps({"seconds": seconds})) == {"seconds": seconds}
    assert WAIT.check('{"seconds": 1, "reason": "rain"}')["reason"] == "rain"


@pytest.mark.parametrize(
    "seconds", ["0", "-1", "2592001", '"soon"', "NaN", "1e999", "true", "null"]
)
def test_other_times_are_refused(seconds: str) -> None:
    """A timer of no length, without end or of no number."""
    with pytest.raises(ToolError):
        WAIT.check(f'{{"seconds": {seconds}}}')


def test_an_output_is_checked_against_the_schema() -> None:
    """Definitions, recursive ones too, still resolve where the schema stands under `output`."""
    finish = finish_tool(Report.model_json_schema())
    output: dict[str, Any] = {"parts": [{"name": "a", "parts": [{"name": "b"}]}]}
    assert finish.check(json.dumps({"output": output})) == {"output": output}
    with pytest.raises(ToolError, match=r"at \$\.output\.parts\[0\]\.parts\[0\] 'name' is a req"):
        finish.check('{"output": {"parts": [{"name": "a", "parts": [{}]}]}}')


def test_references_to_any_place_of_the_schema_hold() -> None:
    """To the whole schema, and to a place in it that is no definition."""
    schema = {
        "$id": "https://example.org/tree",
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "size": {"type": "integer"},
            "other": {"$ref": "#/properties/size"},
            "child": {"$ref": "#"},
        },
    }
    finish = finish_tool(schema)
    assert finish.check('{"output": {"child": {"other": 1}}}')
    with pytest.raises(ToolError, match=r"at \$\.output\.child\.other 'x' is not of type"):
        finish.check('{"output": {"child": {"other": "x"}}}')
    assert schema["$id"], "the caller's schema is left as it was"


def test_the_closest_branch_is_explained() -> None:
    """«Not valid under any of the given schemas» would help nobody."""
    branches = [{"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}]
    finish = finish_tool({"anyOf": [*branches, {"type": "null"}]})
    with pytest.raises(ToolError, match=r"at \$\.output\.a 1 is not of type 'string'"):
        finish.check('{"output": {"a": 1}}')


def test_a_long_value_is_not_repeated_whole() -> None:
    """The sentence is read by a model that pays for each token."""
    with pytest.raises(ToolError) as refused:
        finish_tool({"type": "integer"}).check(json.dumps({"output": "x" * 100_000}))
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({"type": "strnig"}, r"not a valid JSON Schema .*: at \$\.type 'strnig'"),
        ({"properties": {"a": {"pattern": "["}}}, "not a valid JSON Schema"),
        ({"$ref": "#/$defs/Missing"}, "refers to '#/\\$defs/Missing', which it does not contain"),
        ({"$ref": "https://example.org/schema"}, "put the definition under its \\$defs"),
    ],
)
def test_a_wrong_output_schema_is_refused_at_once(schema: dict[str, Any], sentence: str) -> None:
    """Before the run has cost anything; and nothing is fetched from the network."""
    with pytest.raises(PerdureError, match=sentence):
        finish_tool(schema)
