"""What a reply of any server comes to: text, calls, and whether it is of use."""

from typing import Any

import pytest

from perdure.model.reply import (
    CUT_OFF,
    EMPTY,
    FILTERED,
    MOST_CALLS,
    TOO_MANY,
    RequestedCall,
    find_problem,
    read_message,
)


def _call(id: str | None = "c1", name: Any = "read_file", arguments: Any = "{}") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _calls(*calls: dict[str, Any]) -> tuple[RequestedCall, ...]:
    return read_message({"message": {"tool_calls": list(calls)}})[1]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": "Hello."}, "Hello."),
        ({"content": None}, ""),
        ({}, ""),
        (None, ""),
        ({"content": None, "refusal": "I cannot."}, "I cannot."),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab"),
        ({"content": "a\0b \ud83d"}, "a\\x00b \\ud83d"),
    ],
)
def test_the_text_is_found_in_every_form(message: dict[str, Any] | None, text: str) -> None:
    """Content as text, in parts, missing, or a refusal; in characters that can be stored."""
    assert read_message({"message": message}) == (text, ())


def test_calls_keep_their_order_and_their_text() -> None:
    """Arguments stay the model's own text, valid or not."""
    assert _calls(_call("a"), _call("b", arguments='{"half')) == (
        RequestedCall("a", "read_file", "{}"),
        RequestedCall("b", "read_file", '{"half'),
    )


@pytest.mark.parametrize("id", [None, "", "same", "x" * 1000])
def test_every_call_has_an_id_of_its_own(id: str | None) -> None:
    """Ids that are missing, repeated or absurdly long are replaced: results are paired by them."""
    calls = _calls(_call("same"), _call(id), _call(id))
    assert len({call.id for call in calls}) == 3
    assert all(0 < len(call.id) < 100 for call in calls)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"path": "a"}, '{"path": "a"}'), (None, "{}"), ([], "{}"), ("", ""), ("\0", "\\x00")],
)
def test_arguments_may_come_as_an_object(arguments: Any, text: str) -> None:
    """Some servers send what they should have written as text."""
    assert _calls(_call(arguments=arguments))[0].arguments == text


@pytest.mark.parametrize(
    ("name", "kept"), [(None, ""), (7, ""), ("a\0", "a\\x00"), ("x" * 3_000_000, "x" * 200)]
)
def test_a_name_that_no_tool_has_stays_small(name: Any, kept: str) -> None:
    """It goes into the workflow's history with the sentence that the tool is unknown."""
    assert _calls(_call(name=name))[0].tool == kept


@pytest.mark.parametrize(
    ("text", "calls", "reason", "problem"),
    [
        ("An answer.", 0, "stop", None),
        ("", 1, "tool_calls", None),
        ("", 1, "length", None),
        ("Half an ans", 0, "length", CUT_OFF),
        ("", 0, "stop", EMPTY),
        (" \n", 0, "", EMPTY),
        ("", 0, "content_filter", FILTERED),
        ("Text", 1, "content_filter", FILTERED),
        ("", MOST_CALLS, "tool_calls", None),
        ("", MOST_CALLS + 1, "tool_calls", TOO_MANY),
    ],
)
def test_a_reply_of_no_use_says_why(
    text: str, calls: int, reason: str, problem: str | None
) -> None:
    """Empty, cut off, filtered or too much at once; calls are judged one by one elsewhere."""
    requested = tuple(RequestedCall(str(n), "x", "{}") for n in range(calls))
    assert find_problem(text, requested, reason) == problem
