"""Requests in both modes, and how their replies are understood."""

import json
from typing import Any

import pytest

from perdure.contracts import AgentSpec
from perdure.model.catalog import Model
from perdure.model.prompt import Prompt, build_prompt
from perdure.model.reply import EMPTY, FILTERED, RequestedCall
from perdure.model.transcript import Exchange
from perdure.tools.control import WAIT, finish_tool
from tests.model.turns import make_entry

SPEC = AgentSpec(name="reader", instructions="Read with care.\n")
TASK = [Exchange([make_entry("Read it.", "task")], None)]
TOOLS = [WAIT, finish_tool(None)]


def _prompt(*, closing: bool = False, spec: AgentSpec = SPEC, **fields: Any) -> Prompt:
    return build_prompt(Model(name="m", **fields), spec, TOOLS, TASK, closing=closing)


def _call(tool: str, **arguments: Any) -> RequestedCall:
    return RequestedCall("c", tool, json.dumps(arguments))


def test_a_native_request_offers_its_tools() -> None:
    """Instructions, task, and each tool with its schema; no setting that was not asked for."""
    body = _prompt(model="gpt-x").body
    assert body["model"] == "gpt-x"
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][0]["content"].startswith("Read with care.\n\n")
    assert [tool["function"]["name"] for tool in body["tools"]] == ["wait", "finish"]
    assert body["tool_choice"] == "auto"
    assert set(body) == {"model", "messages", "tools", "tool_choice"}


def test_an_agent_without_instructions_knows_its_name() -> None:
    """No system message begins with nothing."""
    body = _prompt(spec=AgentSpec(name="reader")).body
    assert body["messages"][0]["content"].startswith("You are reader.\n\n")


def test_settings_of_the_model_are_sent() -> None:
    """A temperature of zero is one, too."""
    body = _prompt(temperature=0, max_output_tokens=99).body
    assert (body["temperature"], body["max_tokens"]) == (0, 99)


def test_a_closing_request_forbids_calls_and_still_shows_the_tools() -> None:
    """Past calls without tools are refused by some servers."""
    body = _prompt(closing=True).body
    assert body["tool_choice"] == "none"
    assert len(body["tools"]) == 2


@pytest.mark.parametrize("form", ["json_schema", "json_object", "none"])
def test_a_json_request_asks_for_the_form_that_its_server_can(form: str) -> None:
    """The step's form is in the instructions whether or not the server can enforce it."""
    body = _prompt(mode="json", response_format=form).body
    assert "Reply with one JSON object" in body["messages"][0]["content"]
    assert "tools" not in body
    assert body.get("response_format", {}).get("type", "none") == form


def test_a_closing_json_request_asks_for_plain_words() -> None:
    """Neither the form of a step nor a constraint to it."""
    body = _prompt(mode="json", closing=True).body
    assert "JSON" not in body["messages"][0]["content"]
    assert "response_format" not in body


def test_a_native_reply_is_taken_as_it_is() -> None:
    """Text, calls, or both."""
    calls = (_call("wait", seconds=1),)
    assert _prompt().understand("So.", calls, "tool_calls") == ("So.", calls, None)
    assert _prompt().understand("An answer.", (), "stop") == ("An answer.", (), None)


def test_calls_of_a_withheld_reply_are_not_carried_out() -> None:
    """A reply is either followed or complained about, never both."""
    understood = _prompt().understand("", (_call("wait", seconds=1),), "content_filter")
    assert understood == ("", (), FILTERED)


def test_a_json_reply_is_read_as_a_step() -> None:
    """Its thought and its call."""
    text = '{"thought": "t", "action": {"tool": "wait", "input": {"seconds": 1}}}'
    thought, (call,), problem = _prompt(mode="json").understand(text, (), "stop")
    assert (thought, call.tool, call.arguments, problem) == ("t", "wait", '{"seconds": 1}', None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("no step", "not a JSON object"), ('{"is_final": true}', EMPTY), ("", EMPTY)],
)
def test_a_json_reply_that_is_no_step_says_why(text: str, problem: str) -> None:
    """The model reads the sentence before its next try; an empty end is no answer."""
    thought, calls, told = _prompt(mode="json").understand(text, (), "stop")
    assert calls == ()
    assert thought == (text if text == "no step" else "")
    assert told is not None
    assert problem in told


@pytest.mark.parametrize(
    ("mode", "text", "calls", "words"),
    [
        ("native", "So far.", (), "So far."),
        ("native", "", (_call("finish", answer="It is 42."),), "It is 42."),
        ("native", "", (_call("finish", output={"a": 1}),), '{"a": 1}'),
        ("native", "So far.", (_call("wait", seconds=1),), "So far."),
        ("native", "So far.", (RequestedCall("c", "finish", "{"),), "So far."),
        ("native", "So far.", (_call("finish"),), "So far."),
        ("json", "So far.", (), "So far."),
        ("json", 'So far {"a": 1}.', (), 'So far {"a": 1}.'),
        ("json", '{"thought": "So far.", "is_final": true}', (), "So far."),
        ("json", '{"action": {"tool": "finish", "input": {"answer": "42"}}}', (), "42"),
    ],
)
def test_last_words_are_found_where_the_model_put_them(
    mode: str, text: str, calls: tuple[RequestedCall, ...], words: str
) -> None:
    """Some servers ignore that no call is wanted, and some models go on writing steps."""
    prompt = _prompt(mode=mode, closing=True)
    assert prompt.understand(text, calls, "stop") == (words, (), None)
