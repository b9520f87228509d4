"""What entries quote, written out for the model."""

import json

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from perdure.contracts import AgentResult, Answer, Argument, Entry, Quote, RunStatus, Usage
from perdure.errors import StoreError
from perdure.model.quotes import ALL_QUOTES, CUT, MOST_QUOTES, Quotes, share
from perdure.store.store import Store
from tests.model.turns import make_call, make_run, make_turn

TASKS = {"tasks": [{"id": "a", "task": "Task a."}, {"id": "b", "task": "Task\0 b."}]}


@pytest_asyncio.fixture
async def quotes(store: Store) -> Quotes:
    """Of a store with a turn `t` of a few calls."""
    calls = [
        make_call("assign", "assign", json.dumps(TASKS)),
        make_call("twice", "send_message", json.dumps(json.dumps({"text": "Encoded twice."}))),
        make_call("broken", "send_message", '{"te', problem="Not JSON."),
        make_call("long", "send_message", json.dumps({"text": "x" * 16_000})),
    ]
    await store.keep(make_turn("t", *calls))
    return Quotes(store)


def _argument(call: str, *path: str | int, label: str = "") -> Quote:
    return Quote(text=Argument(turn="t", call=call, path=path), label=label)


def _answer(run: str, label: str = "") -> Quote:
    return Quote(text=Answer(run=run), label=label)


def _said(*quotes: Quote, text: str | None = None) -> Entry:
    return Entry(kind="message", text=text, quotes=quotes)


async def _end(store: Store, run: str, answer: str, **fields: object) -> None:
    await store.keep(make_run(run))
    given = {"status": RunStatus.COMPLETED, "head": None, "steps": 1, "usage": Usage()} | fields
    await store.end_run(run, AgentResult.model_validate(given | {"answer": answer}))


async def test_an_entry_without_quotes_is_its_text(quotes: Quotes) -> None:
    """What no database takes is written out."""
    assert await quotes.written_out(_said(text="a\0b"), lists_tasks=True) == "a\\x00b"
    assert await quotes.written_out(_said(), lists_tasks=True) == ""


async def test_each_quote_stands_under_its_label(quotes: Quotes) -> None:
    """After the entry's own text, in order, so that a colleague's words are known as such."""
    entry = _said(
        _argument("assign", "tasks", 0, "task", label="Task a, from architect:"),
        _argument("assign", "tasks", 1, "task", label="Task b, from architect:"),
        _argument("twice", "text"),
        text="Two tasks.",
    )
    assert await quotes.written_out(entry, lists_tasks=True) == (
        "Two tasks.\n\nTask a, from architect:\nTask a.\n\n"
        "Task b, from architect:\nTask\\x00 b.\n\nEncoded twice."
    )


async def test_what_is_no_text_is_quoted_as_json(quotes: Quotes) -> None:
    """A pointer may lead to any part of a call's arguments."""
    entry = _said(_argument("assign", "tasks", 0))
    assert await quotes.written_out(entry, lists_tasks=True) == '{"id": "a", "task": "Task a."}'


@pytest.mark.parametrize(
    "quote",
    [
        _argument("none", "text"),
        _argument("broken", "text"),
        _argument("assign", "tasks", 2, "task"),
        _argument("assign", "tasks", "task"),
        _argument("assign", "tasks", 0, "id", "x"),
        _argument("assign", "text"),
    ],
)
async def test_a_text_that_is_not_there_is_a_sentence(quotes: Quotes, quote: Quote) -> None:
    """The run goes on; no retry could find it."""
    text = await quotes.written_out(_said(quote), lists_tasks=True)
    assert text.startswith("[There is no text at ")
    assert text.endswith("in turn 't'.]")


async def test_a_turn_of_another_store_is_an_error(quotes: Quotes) -> None:
    """Workers with different databases find out."""
    quote = Quote(text=Argument(turn="t-none", call="c", path=("text",)))
    with pytest.raises(StoreError, match="Turn 't-none' is not in this worker's store"):
        await quotes.written_out(_said(quote), lists_tasks=True)


async def test_an_answer_says_how_its_run_ended(quotes: Quotes, store: Store) -> None:
    """With the reason, where it is no success."""
    await _end(store, "good", "It is 42.")
    await _end(store, "half", "So far 41.", status=RunStatus.OUT_OF_STEPS, reason="No more steps.")
    await _end(store, "bad", "", status=RunStatus.FAILED, reason="A key is missing.")
    await store.keep(make_run("open"))
    entry = _said(*map(_answer, ("good", "half", "bad", "open", "unknown")))
    parts = (await quotes.written_out(entry, lists_tasks=True)).split("\n\n")
    assert parts == [
        "completed\nIt is 42.",
        "out_of_steps: No more steps.\nSo far 41.",
        "failed: A key is missing.",
        "[Run 'open' has no recorded result.]",
        "[Run 'unknown' has no recorded result.]",
    ]


async def test_a_message_alone_is_shown_whole(quotes: Quotes) -> None:
    """As long as one may be: nobody could ask for its rest."""
    text = await quotes.written_out(
        _said(_argument("long", "text", label="By b:")), lists_tasks=True
    )
    assert text == "By b:\n" + "x" * 16_000


async def test_many_results_share_the_room(quotes: Quotes, store: Store) -> None:
    """Short ones are whole, and whoever can is told to ask for the whole of the others."""
    await _end(store, "short", "Short.")
    for run in ("a", "b"):
        await _end(store, run, f"Begin {run}." + "x" * 30_000 + f"End {run}.")
    entry = _said(_answer("a", "A:"), _answer("short", "S:"), _answer("b", "B:"))
    text = await quotes.written_out(entry, lists_tasks=True)
    assert "S:\ncompleted\nShort." in text
    assert all(f"{each} {run}." in text for each in ("Begin", "End") for run in ("a", "b"))
    assert text.endswith(CUT)
    assert ALL_QUOTES < len(text) < ALL_QUOTES + 500
    assert CUT not in await quotes.written_out(entry, lists_tasks=False)
    assert CUT not in await quotes.written_out(_said(_answer("a")), lists_tasks=True)
    assert CUT not in await quotes.written_out(_said(*[_answer("short")] * 2), lists_tasks=True)


async def test_of_very_many_results_the_last_are_left_out(quotes: Quotes, store: Store) -> None:
    """Or there would be a word of each; how many they are is said."""
    await _end(store, "a", "x" * 1_000)
    text = await quotes.written_out(_said(*[_answer("a", "A:")] * 1_000), lists_tasks=True)
    assert text.count("A:\n") == MOST_QUOTES
    assert f"[… {1_000 - MOST_QUOTES} more are left out …]" in text
    assert len(text) < ALL_QUOTES + MOST_QUOTES * 60


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=50), st.integers(50, 10_000))
def test_a_share_is_fair(sizes: list[int], most: int) -> None:
    """All of the room is used before anything is cut, and never more."""
    each = share(sizes, most)
    shown = sum(min(size, each) for size in sizes)
    assert shown <= most
    if shown < sum(sizes):
        assert shown > most - len(sizes)
