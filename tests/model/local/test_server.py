"""What the local server makes of requests and of the model's steps, without a model."""

import json
from typing import Any

import pytest

from perdure.model.local.chat import ChatRequest, completion_of, prompt_of
from perdure.model.local.examples import INSTRUCTIONS, example_messages
from perdure.model.local.grammar import enforceable, step_schema
from perdure.model.local.server import chat

READ = {
    "title": "read_file",
    "type": "object",
    "properties": {
        "title": {"title": "Title", "type": "string", "description": "x", "pattern": "(?=a)"},
        "limit": {"type": "integer", "default": 500},
        "mode": {"$ref": "#/$defs/Mode"},
    },
    "required": ["title", "mode"],
    "$defs": {"Mode": {"enum": ["text", "bytes"], "title": "Mode", "type": "string"}},
}


def request(**changes: Any) -> dict[str, Any]:
    """A request that offers one tool."""
    tool = {"type": "function", "function": {"name": "read_file", "parameters": READ}}
    task = [{"role": "user", "content": "Read a.txt."}]
    return {"model": "any", "messages": task, "tools": [tool]} | changes


def answered(content: str, finish_reason: str = "stop", **changes: Any) -> dict[str, Any]:
    """The choice that a client gets when the engine wrote `content`."""
    prompt = prompt_of(ChatRequest.model_validate(request(**changes)))
    message = {"role": "assistant", "content": content}
    completion = {"choices": [{"index": 0, "finish_reason": finish_reason, "message": message}]}
    choice: dict[str, Any] = completion_of(prompt, completion)["choices"][0]
    return choice


def grammar_schema(**changes: Any) -> dict[str, Any]:
    """The schema inside the grammar that `request` compiles to."""
    grammar = prompt_of(ChatRequest.model_validate(request(**changes))).request["grammar"]
    schema: dict[str, Any] = json.loads(grammar.partition("%json ")[2])
    return schema


def refused(body: dict[str, Any]) -> str:
    """The message with which `body` is refused before it reaches an engine."""
    status, answer = chat(json.dumps(body).encode(), lambda _: {})
    assert status == 400
    message: str = answer["error"]["message"]
    return message


def test_a_tool_is_offered_with_its_required_parameters_only() -> None:
    """Optional parameters, annotations and patterns are left out; a parameter named title stays."""
    arguments = step_schema({"read_file": READ}, reply=False)["anyOf"][0]["properties"]["arguments"]
    assert arguments["properties"] == {
        "title": {"type": "string", "maxLength": 200},
        "mode": {"$ref": "#/$defs/read_fileMode"},
    }
    assert arguments["additionalProperties"] is False


def test_definitions_of_two_tools_do_not_clash() -> None:
    """Each tool's definitions are renamed after it, and its references follow."""
    other = READ | {"$defs": {"Mode": {"enum": [1, 2]}}}
    definitions = step_schema({"one": READ, "two": other}, reply=False)["$defs"]
    assert definitions["oneMode"]["enum"] == ["text", "bytes"]
    assert definitions["twoMode"]["enum"] == [1, 2]


def test_every_string_and_list_has_an_end() -> None:
    """Lengths are capped at any depth, and an object with properties is closed."""
    nested = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}
    bounded = enforceable({"type": "array", "items": nested})
    assert bounded["maxItems"] == 10
    assert bounded["items"]["properties"]["a"]["maxLength"] == 200
    assert bounded["items"]["additionalProperties"] is False


@pytest.mark.parametrize(("choice", "kinds"), [("auto", 2), ("required", 1), ("none", 1)])
def test_tool_choice_decides_what_a_step_may_be(choice: str, kinds: int) -> None:
    """A call or a reply, a call, or a reply."""
    assert len(grammar_schema(tool_choice=choice)["anyOf"]) == kinds


def test_a_tool_choice_that_names_an_unknown_tool_is_refused() -> None:
    """The message names the tool and those that there are."""
    choice = {"type": "function", "function": {"name": "fly"}}
    assert "'fly', which is not among the tools: ['read_file']" in refused(
        request(tool_choice=choice)
    )


def test_a_response_format_becomes_a_grammar() -> None:
    """Without tools, the schema that was asked for is enforced."""
    format_ = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "boolean"}}}
    assert grammar_schema(tools=None, response_format=format_)["type"] == "boolean"


def test_worked_examples_become_steps_between_tasks_and_results() -> None:
    """Native calls and results are written in the one form that the model is held to."""
    messages = [
        {"role": "system", "content": INSTRUCTIONS},
        *example_messages(),
        {"role": "user", "content": [{"type": "text", "text": "Read a.txt."}]},
    ]
    prompt = prompt_of(ChatRequest.model_validate(request(messages=messages)))
    lines = [line["content"] for line in prompt.request["messages"]]
    assert lines[0].endswith("Reply with one JSON step. Tools: read_file(title, mode).")
    assert lines[6:9] == [
        "Task: Read song.md and report the text.",
        '{"tool": "read_file", "arguments": {"path": "song.md"}}',
        "Result: la la",
    ]
    assert lines[-1] == "Task: Read a.txt."


def test_a_step_becomes_a_native_tool_call() -> None:
    """The client sees no difference to an endpoint with tool calls of its own."""
    choice = answered('{"tool": "read_file", "arguments": {"title": "a"}}')
    (call,) = choice["message"]["tool_calls"]
    assert call["function"] == {"name": "read_file", "arguments": '{"title": "a"}'}
    assert call["id"]
    assert choice["message"]["content"] is None
    assert choice["finish_reason"] == "tool_calls"


def test_a_reply_becomes_plain_text() -> None:
    """So does the only kind of step there is when no tool may be called."""
    choice = answered('{"reply": "Done."}', tool_choice="none")
    assert choice["message"] == {"role": "assistant", "content": "Done."}
    assert choice["finish_reason"] == "stop"


def test_a_step_that_was_cut_off_says_so() -> None:
    """It stays text, with the finish reason that tells a client why."""
    choice = answered('{"tool": "read_f', finish_reason="length")
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"] == '{"tool": "read_f'


def test_an_unenforced_grammar_is_an_error() -> None:
    """The engine then writes freely and reports nothing, so the reply is checked."""
    message = {"role": "assistant", "content": "Hello!"}
    completion = {"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
    status, answer = chat(json.dumps(request()).encode(), lambda _: completion)
    assert status == 400
    assert "cannot enforce the schema" in answer["error"]["message"]


@pytest.mark.parametrize("changes", [{"stream": True}, {"messages": []}, {"n": 2}])
def test_what_is_not_offered_is_refused(changes: dict[str, Any]) -> None:
    """Streaming, an empty chat and several choices are named in the message."""
    assert next(iter(changes)) in refused(request(**changes))
