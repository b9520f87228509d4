"""The transcript as messages: well formed whatever was recorded, and whatever was left out."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.model.transcript import (
    LOST,
    RESULT_CHARACTERS,
    ChatMessage,
    Exchange,
    arrange,
    characters,
    native_messages,
    shown_text,
)
from perdure.store.tables import StoredEntry, Turn
from tests.model.turns import make_call, make_entry, make_result, make_turn

WIDE = 1_000_000


def _check(messages: list[ChatMessage]) -> None:
    """Every call is followed by exactly one tool message before anything else; none is orphaned."""
    awaited: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            assert message["tool_call_id"] == awaited.pop(0)
            continue
        assert not awaited
        awaited = [call["id"] for call in message.get("tool_calls", ())]


@st.composite
def _transcripts(draw: st.DrawFn) -> tuple[list[Turn], dict[str, StoredEntry], list[StoredEntry]]:
    """Turns with calls of which some results are missing, doubled, foreign, or not in the store."""
    turns: list[Turn] = []
    found: dict[str, StoredEntry] = {}
    waiting: list[StoredEntry] = []
    for step in range(draw(st.integers(0, 6))):
        ids = draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=3))
        calls = [
            make_call(each, arguments=draw(st.sampled_from(['{"a": 1}', '{"h', ""])))
            for each in ids
        ]
        stored = draw(st.lists(st.booleans(), min_size=len(waiting), max_size=len(waiting)))
        found |= {each.id: each for each, kept in zip(waiting, stored, strict=True) if kept}
        turns.append(make_turn(f"t{step}", *calls, entries=[entry.id for entry in waiting]))
        results = draw(st.lists(st.sampled_from([*ids, "foreign"]), max_size=4))
        waiting = [
            make_result(call, id=f"e-{step}-{number}") for number, call in enumerate(results)
        ]
        if draw(st.booleans()):
            waiting.insert(0, make_entry("A message.", "message", id=f"m-{step}"))
    return turns, found, waiting


@given(_transcripts(), st.integers(0, 6))
def test_every_call_has_one_result_wherever_the_transcript_begins(
    transcript: tuple[list[Turn], dict[str, StoredEntry], list[StoredEntry]], first: int
) -> None:
    """Results that are missing are said to be lost; those whose call was left out go with it."""
    turns, found, waiting = transcript
    _check(native_messages(arrange(turns[first:], found, waiting, WIDE)))


def test_a_transcript_reads_in_order() -> None:
    """Task, calls, their results in the order of the calls, what else came, the answer."""
    turns = [
        make_turn("t1", make_call("a"), make_call("b"), thought="Look.", entries=["task"]),
        make_turn("t2", thought="It says so.", entries=["e-b", "e-a", "note"]),
    ]
    entries = [
        make_entry("Read it.", "task", id="task"),
        make_entry("Hurry.", "message", id="note"),
        make_result("b", "B"),
        make_result("a", "A"),
    ]
    new = [make_entry("And now?", "task", id="next")]
    messages = native_messages(arrange(turns, {each.id: each for each in entries}, new, WIDE))
    assert [(message["role"], message["content"]) for message in messages] == [
        ("user", "Read it."),
        ("assistant", "Look."),
        ("tool", "A"),
        ("tool", "B"),
        ("user", "Hurry."),
        ("assistant", "It says so."),
        ("user", "And now?"),
    ]


def test_a_call_without_a_result_is_said_to_be_lost() -> None:
    """The model learns that the outcome is unknown, and not that nothing happened."""
    messages = native_messages([Exchange([], make_turn("t", make_call("a"))), Exchange([], None)])
    assert messages[-1] == {"role": "tool", "tool_call_id": "a", "content": LOST}


def test_a_reply_that_said_nothing_is_still_a_message() -> None:
    """No server takes an assistant's message without content and calls."""
    messages = native_messages([Exchange([], make_turn())])
    assert messages == [{"role": "assistant", "content": "(nothing)"}]


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ('{"a": 1}', {"a": 1}),
        ('{"half', {}),
        ("", {}),
        ("[1]", {}),
        ("null", {}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        ("[" * 100_000, {}),
    ],
)
def test_past_arguments_are_always_an_object(written: str, sent: dict[str, Any]) -> None:
    """Servers refuse a transcript with others, and the run would never get on."""
    messages = native_messages([Exchange([], make_turn("t", make_call(arguments=written)))])
    assert json.loads(messages[0]["tool_calls"][0]["function"]["arguments"]) == sent


@pytest.mark.parametrize(
    ("tool", "sent"),
    [
        ("read_file", "read_file"),
        ("", "unnamed"),
        ("read file!", "read_file_"),
        ("x" * 99, "x" * 64),
    ],
)
def test_past_names_are_always_possible(tool: str, sent: str) -> None:
    """A tool that the model made up must not make every later request invalid."""
    messages = native_messages([Exchange([], make_turn("t", make_call(tool=tool)))])
    assert messages[0]["tool_calls"][0]["function"]["name"] == sent


def test_a_result_is_shown_with_its_status_and_what_is_missing() -> None:
    """Errors are marked; what was cut and what was not kept is counted."""
    assert shown_text(make_result(text="fine")) == "fine"
    assert shown_text(make_result(text="no such file", status="error")) == "[error] no such file"
    long = shown_text(make_result(text="x" * RESULT_CHARACTERS * 2, dropped=1234))
    assert "[… 16,000 characters left out …]" in long
    assert long.endswith("[… 1,234 more characters were not kept …]")


def test_results_share_half_of_a_small_window() -> None:
    """However small the window, each of three long results is seen in part, and messages whole."""
    results = [make_result(each, each * 5000) for each in "abc"]
    (exchange,) = arrange([], {}, [*results, make_entry("m" * 5000)], 6000)
    assert all(1000 <= len(entry.text) < 1100 for entry in exchange.entries[:3])
    assert exchange.entries[3].text == "m" * 5000
    assert results[0].text == "a" * 5000


def test_the_length_is_that_of_what_is_shown() -> None:
    """Entries as they are cut, the thought, and the calls' arguments."""
    entries = [make_entry("12345"), make_result(text="1")]
    assert characters(entries, "123", ["{}", "{}"]) == 5 + 1 + 3 + 4
