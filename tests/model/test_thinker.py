"""From a run's head to its next turn, with a real store and a model over HTTP."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from perdure.contracts import (
    LEADS_TOOLS,
    AgentResult,
    AgentSpec,
    Answer,
    Argument,
    Decision,
    Entry,
    Quote,
    RunStatus,
    Seat,
    ThinkInput,
    Usage,
)
from perdure.errors import ModelBusy, PromptTooLong, StoreError, UnknownRun
from perdure.model.catalog import Catalog
from perdure.model.client import Models
from perdure.model.reply import TOO_MANY
from perdure.model.thinker import Thinker
from perdure.store.store import Store
from perdure.store.tables import Run, Turn
from perdure.testing import replies
from perdure.testing.scripted_model import ScriptedModel
from perdure.tools.files import TOOLS
from perdure.tools.registry import Registry
from tests.model.turns import make_call, make_result, make_run, make_turn

TASK = Entry(kind="task", text="The task.")
MODELS = """
[models.small]
window = 3000
[models.steps]
mode = "json"
"""


@dataclass(frozen=True)
class Bench:
    """A thinker with everything that it works on, and a run to think for."""

    thinker: Thinker
    store: Store
    model: ScriptedModel

    async def think(self, key: str, *entries: Entry, **fields: Any) -> Decision:
        given = {"run": "run", "head": None} | fields
        return await self.thinker.think(ThinkInput(key=key, entries=entries, **given))

    async def open_run(self, model: str = "scripted", **fields: Any) -> None:
        spec = AgentSpec(name="a", **fields).model_dump(mode="json")
        run = Run(id="run", workflow_id="w", agent="a", model=model, spec=spec, task="The task.")
        await self.store.keep(run)

    async def last_turn(self, decision: Decision) -> Turn:
        turn = await self.store.turn(decision.head)
        assert turn is not None
        return turn

    @property
    def last_messages(self) -> list[dict[str, Any]]:
        return self.model.requests[-1].messages


@pytest_asyncio.fixture
async def bench(
    store: Store, scripted_model: ScriptedModel, tmp_path: Path
) -> AsyncIterator[Bench]:
    own = tmp_path / "models.toml"
    own.write_text(MODELS)

    async def no_local_model() -> str:
        raise AssertionError("no test here asks the local model")

    models = Models(Catalog({"OPENAI_BASE_URL": scripted_model.url}, own), no_local_model)
    yield Bench(Thinker(store, models, Registry(TOOLS)), store, scripted_model)
    await models.close()


async def test_a_think_appends_a_turn_and_decides(bench: Bench) -> None:
    """The turn says what was shown, what came back and what it cost; the decision is small."""
    await bench.open_run()
    call = replies.call("read_file", path="a.txt")
    bench.model.follow([replies.calls(call, call, say="Look.").using(10, 5), replies.say("Done.")])
    first = await bench.think("k1", TASK)
    assert [call.summary for call in first.calls] == ["read_file: a.txt"] * 2
    turn = await bench.last_turn(first)
    assert (turn.step, turn.parent_id, turn.thought, turn.model) == (1, None, "Look.", "scripted")
    assert (turn.input_tokens, turn.output_tokens, turn.cost_usd) == (10, 5, None)
    assert turn.characters == len("The task.") + len("Look.") + 2 * len('{"path": "a.txt"}')
    second = await bench.think("k2", head=first.head)
    assert second.answer == "Done."
    assert [turn.step for turn in await bench.store.path(second.head)] == [1, 2]


async def test_what_the_workflow_says_is_stored_with_the_turn(bench: Bench) -> None:
    """Entries given in words get an id that a retry computes again; strange characters go."""
    await bench.open_run()
    bench.model.follow([replies.say("Done.")])
    decision = await bench.think("k", TASK, Entry(kind="message", text="a\0b"))
    turn = await bench.last_turn(decision)
    stored = await bench.store.entries(turn.entries)
    assert [stored[each].text for each in turn.entries] == ["The task.", "a\\x00b"]
    assert [message["content"] for message in bench.last_messages[1:]] == ["The task.", "a\\x00b"]
    assert len(await bench.store.news("run", None)) == 3


async def test_a_retry_finds_the_stored_turn_and_asks_nobody(bench: Bench) -> None:
    """The same decision, word for word, and no second paid reply."""
    await bench.open_run()
    bench.model.follow([replies.call("finish", answer="42")])
    request = ThinkInput(run="run", key="k", head=None, entries=(TASK,))
    assert await bench.thinker.recall(request) is None
    decision = await bench.thinker.think(request)
    assert await bench.thinker.recall(request) == decision
    assert bench.model.served() == 1


async def test_two_attempts_at_once_agree(bench: Bench) -> None:
    """Of a slow attempt and its retry the first that is stored stays, for both."""
    await bench.open_run()
    bench.model.follow([[replies.say("One."), replies.say("Two.")]])
    first = await bench.think("k", TASK)
    assert (await bench.think("k", TASK)) == first
    assert (await bench.last_turn(first)).thought == "One."


async def test_a_failed_request_leaves_nothing_behind(bench: Bench) -> None:
    """Neither turn nor entries; the retry stores them once."""
    await bench.open_run()
    bench.model.follow([[replies.status(500), replies.say("Done.")]])
    with pytest.raises(ModelBusy):
        await bench.think("k", TASK)
    assert await bench.store.news("run", None) == []
    await bench.think("k", TASK)
    assert len(await bench.store.news("run", None)) == 2


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (replies.call("reed_file"), "Tool 'reed_file' is unknown. The tools are: read_file, "),
        (replies.call("read_file", pfad="x"), "pfad"),
        (replies.raw_call("read_file", '{"pa'), "not valid JSON"),
        (replies.call("finish", answer=3), "answer"),
        (replies.call("finish", answer="x" * 200_001), "Write them to a file"),
    ],
)
async def test_a_wrong_call_is_stored_with_what_is_wrong(
    bench: Bench, reply: replies.Completion, problem: str
) -> None:
    """The workflow tells the model, and carries nothing out."""
    await bench.open_run()
    bench.model.follow([reply])
    (call,) = (await bench.think("k", TASK)).calls
    assert call.problem is not None
    assert problem in call.problem
    assert call.arguments is None


async def test_more_calls_than_a_workflow_can_bear_are_none(bench: Bench) -> None:
    """A reply with thousands of calls is told to ask for fewer."""
    await bench.open_run()
    bench.model.follow([replies.calls(*[replies.call("list_files")] * 3000)])
    decision = await bench.think("k", TASK)
    assert (decision.calls, decision.problem) == ((), TOO_MANY)


async def test_an_output_must_fit_its_schema(bench: Bench) -> None:
    """What fits is passed on whole; what does not comes with the place where it does not."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    await bench.open_run(output_schema=schema)
    bench.model.follow(
        [replies.call("finish", output={"n": "x"}), replies.call("finish", output={"n": 1})]
    )
    wrong = await bench.think("k1", TASK)
    assert wrong.calls[0].problem is not None
    assert "$.output.n" in wrong.calls[0].problem
    right = await bench.think("k2", head=wrong.head)
    assert right.calls[0].arguments == {"output": {"n": 1}}


async def test_a_model_without_tool_calls_works_by_json_steps(bench: Bench) -> None:
    """Step, result and end, with the results in the user's messages."""
    await bench.open_run("steps")
    bench.model.follow(
        [
            replies.json_step("read_file", thought="Look.", path="a.txt"),
            replies.say("I forgot the form."),
            replies.json_step("finish", answer="42", is_final=True),
        ]
    )
    first = await bench.think("k1", TASK)
    await bench.store.keep(make_result(first.calls[0].id, "forty-two"))
    found = Entry(kind="result", id=f"e-{first.calls[0].id}", call=first.calls[0].id)
    second = await bench.think("k2", found, head=first.head)
    assert bench.last_messages[-1]["content"] == "Result of read_file:\nforty-two"
    assert second.problem is not None
    assert "not a JSON object" in second.problem
    third = await bench.think("k3", head=second.head)
    assert third.calls[0].arguments == {"answer": "42"}
    assert all("tools" not in request.body for request in bench.model.requests)


async def test_last_words_carry_no_calls(bench: Bench) -> None:
    """Whatever the model asks for, a closing think only takes what it says."""
    await bench.open_run()
    bench.model.follow([replies.calls(replies.call("list_files"), say="So far.")])
    decision = await bench.think("k", TASK, closing="it is time")
    assert (decision.answer, decision.calls) == ("So far.", ())
    assert bench.model.requests[0].body["tool_choice"] == "none"


async def test_a_transcript_that_outgrew_the_window_loses_its_beginning(bench: Bench) -> None:
    """The task stays, what is left out is counted, and calls keep their results."""
    await bench.open_run("small")
    bench.model.follow(lambda _: replies.call("read_file", path="x" * 900))
    entries: tuple[Entry, ...] = (TASK,)
    head = None
    for step in range(10):
        decision = await bench.think(f"k{step}", *entries, head=head)
        head = decision.head
        call = decision.calls[0].id
        entries = (Entry(kind="result", call=call, text=f"result {step}"),)
    messages = bench.last_messages
    assert [message["content"] for message in messages[1:3]] == [
        "The task.",
        "[The first 6 steps of this run are left out here: they no longer fit.]",
    ]
    assert [message["role"] for message in messages[3:]] == ["assistant", "tool"] * 3
    assert messages[-1]["content"] == "result 8"
    assert max(request.size for request in bench.model.requests) < 12_000


async def test_a_result_larger_than_the_window_is_seen_in_part(bench: Bench) -> None:
    """Or the model would never learn what it asked for, and ask for it for ever."""
    await bench.open_run("small")
    bench.model.follow([replies.call("read_file", path="a"), replies.say("I saw it.")])
    first = await bench.think("k1", TASK)
    text = "head" + "x" * 50_000 + "tail"
    result = Entry(kind="result", call=first.calls[0].id, text=text)
    await bench.think("k2", result, head=first.head)
    assert [message["role"] for message in bench.last_messages] == [
        "system",
        "user",
        "assistant",
        "tool",
    ]
    shown = bench.last_messages[-1]["content"]
    assert shown.startswith("headxx")
    assert shown.endswith("xxtail")
    assert len(shown) < 3000


async def test_less_is_shown_to_a_model_whose_window_is_smaller_than_was_known(
    bench: Bench,
) -> None:
    """The same think shows less and less until the server takes it."""
    await bench.open_run("small")
    bench.model.follow([replies.call("read_file", path="x" * 800)] * 5)
    head = None
    for step in range(5):
        head = (await bench.think(f"k{step}", TASK, head=head)).head
    too_long = replies.status(400, code="context_length_exceeded")
    answers: Iterator[replies.Reply] = iter([too_long, too_long, replies.say("Now it fits.")])
    bench.model.follow(lambda _: next(answers))
    assert (await bench.think("last", head=head)).answer == "Now it fits."
    sizes = [request.size for request in bench.model.requests[-3:]]
    assert sizes[0] > sizes[1] >= sizes[2]


async def test_a_prompt_that_fits_in_no_way_is_an_error(bench: Bench) -> None:
    """After three tries the run ends with a sentence."""
    await bench.open_run()
    bench.model.follow([replies.status(400, code="context_length_exceeded")])
    with pytest.raises(PromptTooLong):
        await bench.think("k", TASK)
    assert len(bench.model.requests) == 3


async def test_a_run_an_entry_or_a_head_of_another_store_is_an_error(bench: Bench) -> None:
    """Workers with different databases find out before a reply is paid for."""
    with pytest.raises(UnknownRun):
        await bench.think("k", TASK)
    await bench.open_run()
    with pytest.raises(StoreError, match=r"Entry 'e-none' is not in this worker's store"):
        await bench.think("k", Entry(kind="task", id="e-none"))
    with pytest.raises(StoreError, match="Turn 't-none'"):
        await bench.think("k", TASK, head="t-none")
    assert bench.model.requests == []


async def test_the_beginning_of_a_prompt_never_changes(bench: Bench) -> None:
    """Each request begins with the one before it, which the provider's cache rewards."""
    await bench.open_run()
    bench.model.follow([replies.call("list_files")] * 4)
    head = None
    for step in range(4):
        head = (await bench.think(f"k{step}", *[TASK][step:], head=head)).head
    requests = [json.dumps(request.messages)[:-1] for request in bench.model.requests]
    assert all(after.startswith(before) for before, after in pairwise(requests))


async def test_what_colleagues_wrote_is_shown_under_its_label(bench: Bench) -> None:
    """From the store, where the workflow only points; and stored as it was shown."""
    await bench.open_run()
    text = "Use UTF-8. " * 1_000
    await bench.store.keep(
        make_turn("told", make_call("c", "send_message", json.dumps({"text": text})))
    )
    bench.model.follow([replies.say("Done.")])
    pointer = Argument(turn="told", call="c", path=("text",))
    message = Entry(kind="message", quotes=(Quote(text=pointer, label="From coder-2:"),))
    decision = await bench.think("k", TASK, message)
    shown = {"role": "user", "content": f"From coder-2:\n{text}"}
    assert bench.last_messages[2] == shown
    turn = await bench.last_turn(decision)
    assert (await bench.store.entries(turn.entries))[turn.entries[1]].text == shown["content"]


async def test_a_delegated_task_brings_its_result(bench: Bench) -> None:
    """As the result of the call that it was."""
    await bench.open_run(tools=("delegate",))
    bench.model.follow(
        [replies.call("delegate", agent="b", task="Count."), replies.say("It is 42.")]
    )
    first = await bench.think("k1", TASK)
    assert first.calls[0].problem is None
    await bench.store.keep(make_run("child"))
    await bench.store.end_run(
        "child",
        AgentResult(status=RunStatus.COMPLETED, answer="42", head=None, steps=1, usage=Usage()),
    )
    result = Entry(
        kind="result",
        call=first.calls[0].id,
        text="w.1 ended.",
        quotes=(Quote(text=Answer(run="child")),),
    )
    await bench.think("k2", result, head=first.head)
    assert bench.last_messages[-1]["role"] == "tool"
    assert bench.last_messages[-1]["content"] == "w.1 ended.\n\ncompleted\n42"


async def test_a_message_that_comes_again_is_shown_once(bench: Bench) -> None:
    """A run may have read it and not lived to say so; it is sent once more to the next."""
    await bench.open_run()
    bench.model.follow([replies.call("list_files")] * 4)
    message = Entry(kind="message", text="Use UTF-8.", key="team:1")
    other = Entry(kind="message", text="Use tabs.", key="team:2")
    first = await bench.think("k1", TASK, message, message)
    again = await bench.think("k2", TASK, message, other, head=first.head)
    told = [each["content"] for each in bench.last_messages if each["role"] == "user"]
    assert told == ["The task.", "Use UTF-8.", "The task.", "Use tabs."]
    assert len((await bench.last_turn(again)).entries) == 2


async def test_a_message_is_shown_again_where_the_past_lacks_it(bench: Bench) -> None:
    """The turn that showed it may have been lost to the run that goes on from before it."""
    await bench.open_run()
    bench.model.follow([replies.call("list_files")] * 3)
    first = await bench.think("k1", TASK)
    message = Entry(kind="message", text="Use UTF-8.", key="team:1")
    lost = await bench.think("k2", message, head=first.head)
    retold = await bench.think("k3", message, head=first.head)
    assert bench.last_messages[-1]["content"] == "Use UTF-8."
    assert (await bench.last_turn(retold)).entries == (await bench.last_turn(lost)).entries


@pytest.mark.parametrize("is_lead", [True, False])
async def test_a_member_is_offered_what_its_seat_needs(bench: Bench, is_lead: bool) -> None:
    """The seat is recorded with the run, beside its agent."""
    seat = Seat(member="m", kind="k", is_lead=is_lead)
    run = make_run("seated", tools=("read_file",))
    run.model, run.seat = "scripted", seat.model_dump(mode="json")
    await bench.store.keep(run)
    bench.model.follow([replies.say("Done.")])
    await bench.think("k", TASK, run="seated")
    offered = [each["function"]["name"] for each in bench.model.requests[0].body["tools"]]
    lead = LEADS_TOOLS if is_lead else ()
    assert offered == ["read_file", "wait", "send_message", *lead, "finish"]
