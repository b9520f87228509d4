"""The JSON step: what is asked for, what is understood, and what past steps look like."""

import json
from collections.abc import Sequence
from typing import Any

import jsonschema
import pytest

from perdure.model.json_step import NotAStep, instructions, json_messages, read_step, schema
from perdure.model.transcript import LOST, Exchange
from perdure.tools.control import WAIT, finish_tool
from perdure.tools.registry import Offer
from tests.model.turns import make_call, make_entry, make_result, make_turn

ADDRESS = {
    "type": "object",
    "properties": {"home": {"$ref": "#/$defs/Place"}, "next": {"$ref": "#"}},
    "required": ["home"],
    "$defs": {"Place": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def _step(**fields: Any) -> str:
    return json.dumps(fields)


def _read(text: str) -> tuple[str, list[tuple[str, str]]]:
    thought, calls = read_step(text)
    return thought, [(call.tool, call.arguments) for call in calls]


def test_a_step_is_a_thought_and_one_call() -> None:
    """The input becomes the arguments' text, under an id of its own."""
    text = _step(thought="Look.", action={"tool": "list_files", "input": {"path": "."}})
    assert _read(text) == ("Look.", [("list_files", '{"path": "."}')])
    assert read_step(text)[1][0].id != read_step(text)[1][0].id


@pytest.mark.parametrize(
    "around", ["```json\n{}\n```", "Sure! Here is my step: {} I hope it helps {{}}", "\n\n{}"]
)
def test_words_and_fences_around_the_step_are_tolerated(around: str) -> None:
    """Models that are asked for JSON and nothing else still say more."""
    step = _step(thought="t", action={"tool": "x", "input": {}})
    assert _read(around.replace("{}", step, 1)) == ("t", [("x", "{}")])


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ({"thought": "It is 42.", "is_final": True}, "It is 42."),
        ({"thought": "t", "action": None, "is_final": True}, "t"),
        ({"thought": "t", "action": "It is 42.", "is_final": True}, "It is 42."),
        ({"is_final": True}, ""),
    ],
)
def test_a_final_step_needs_no_action(step: dict[str, Any], answer: str) -> None:
    """What it says is the answer."""
    assert _read(_step(**step)) == (answer, [])


@pytest.mark.parametrize(
    "action",
    [
        {"tool": "x"},
        {"tool": "x", "input": None},
        {"tool": "x", "input": "{}"},
        {"tool": "x", "input": []},
    ],
)
def test_an_input_in_another_form_is_taken(action: dict[str, Any]) -> None:
    """Missing, null, or written as text: what is wrong with it the tool says itself."""
    assert _read(_step(action=action)) == ("", [("x", "{}")])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("I will look at the files.", "is not a JSON object"),
        ('{"thought": "hal', "is not valid JSON"),
        ("[1, 2]", "is not a JSON object"),
        ('{"thought": "t"}', 'has no "action"'),
        ('{"action": {"input": {}}, "is_final": false}', 'has no "action"'),
        ('{"a":' * 100_000, "is not valid JSON"),
    ],
)
def test_what_is_no_step_is_told_to_the_model(text: str, why: str) -> None:
    """The sentence says what to write instead."""
    with pytest.raises(NotAStep, match=why):
        read_step(text)


def test_strange_characters_in_a_step_can_be_stored() -> None:
    """JSON may write NUL and half surrogates where text cannot have them."""
    text = '{"thought": "\\u0000\\ud83d", "action": {"tool": "\\u0000", "input": "\\ud83d"}}'
    assert _read(text) == ("\\x00\\ud83d", [("\\x00", "\\ud83d")])


def _valid(tools: Sequence[Offer], tool: str, given: dict[str, Any]) -> bool:
    step = {"thought": "", "action": {"tool": tool, "input": given}, "is_final": False}
    return bool(jsonschema.Draft202012Validator(schema(tools)).is_valid(step))


def test_the_schema_takes_the_steps_of_every_tool_and_no_others() -> None:
    """References inside a tool's parameters hold where they stand in the step's schema."""
    tools = [WAIT, finish_tool(ADDRESS)]
    jsonschema.Draft202012Validator.check_schema(schema(tools))
    assert _valid(tools, "wait", {"seconds": 1})
    assert not _valid(tools, "wait", {"seconds": -1})
    assert _valid(tools, "finish", {"output": {"home": {"city": "Bern"}}})
    assert not _valid(tools, "finish", {"output": {"home": {"city": 3}}})
    assert not _valid(tools, "finish", {"output": {"home": {}, "next": {"home": 1}}})
    assert not _valid(tools, "other", {})


def test_the_instructions_name_every_tool() -> None:
    """The form of a step, then each tool with its input."""
    text = instructions([WAIT, finish_tool(None)])
    assert '"is_final": false' in text
    assert "- wait: Pause the run, for up to 30 days. Input: {" in text
    assert "- finish: End the task with its answer. Input: {" in text


def test_a_past_step_reads_as_the_model_wrote_it() -> None:
    """Thought and action as JSON, then the results and messages in one message of the user."""
    turn = make_turn("t", make_call(arguments='{"path": "a"}'), thought="Look.")
    after = [make_entry("Hurry.", "message"), make_result(text="A", status="error")]
    task = [make_entry("Read a.", "task")]
    messages = json_messages([Exchange(task, turn), Exchange(after, None)])
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert json.loads(messages[1]["content"]) == {
        "thought": "Look.",
        "action": {"tool": "read_file", "input": {"path": "a"}},
        "is_final": False,
    }
    assert messages[2]["content"] == "Result of read_file:\n[error] A\n\nHurry."


def test_a_past_step_without_its_result_is_said_to_be_lost() -> None:
    """Also where the arguments were no JSON and the call is shown without them."""
    turn = make_turn("t", make_call(arguments="{"))
    messages = json_messages([Exchange([], turn), Exchange([], None)])
    assert json.loads(messages[0]["content"])["action"]["input"] == {}
    assert messages[1]["content"] == f"Result of read_file:\n{LOST}"


@pytest.mark.parametrize(("problem", "is_final"), [(None, True), ("Empty.", False)])
def test_a_past_answer_was_final_unless_it_was_of_no_use(
    problem: str | None,
    is_final: bool,
) -> None:
    """A second task on top of an answer shows it as the end that it was."""
    (message,) = json_messages([Exchange([], make_turn(thought="42", problem=problem))])
    expected = {"thought": "42", "action": None, "is_final": is_final}
    assert json.loads(message["content"]) == expected
