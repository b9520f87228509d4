"""Asking a model over HTTP: its reply, or why there is none and whether to ask again."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from perdure.contracts import AgentSpec
from perdure.errors import ModelBusy, ModelRefused, PromptTooLong, UnknownModel
from perdure.model.catalog import Catalog, Model
from perdure.model.client import Models
from perdure.model.prompt import Prompt, build_prompt
from perdure.model.reply import CUT_OFF, EMPTY, FILTERED, Reply
from perdure.model.transcript import Exchange
from perdure.testing import replies
from perdure.testing.scripted_model import ScriptedModel
from perdure.testing.wire import http_reply
from perdure.tools.control import finish_tool
from tests.model.turns import make_entry

NOBODY = "http://127.0.0.1:1/v1"


async def _no_local_model() -> str:
    return NOBODY


@pytest_asyncio.fixture
async def models(scripted_model: ScriptedModel, tmp_path: Path) -> AsyncIterator[Models]:
    environment = {"OPENAI_API_KEY": "secret", "OPENAI_BASE_URL": scripted_model.url}
    models = Models(Catalog(environment, tmp_path / "models.toml"), _no_local_model)
    yield models
    await models.close()


def _prompt(model: Model) -> Prompt:
    task = [Exchange([make_entry("a task", "task")], None)]
    return build_prompt(model, AgentSpec(name="a"), [finish_tool(None)], task, closing=False)


async def _ask(models: Models, name: str = "scripted") -> Reply:
    model = models.catalog.find(name)
    return await models.ask(model, _prompt(model))


async def test_a_reply_brings_text_calls_and_usage(
    models: Models, scripted_model: ScriptedModel
) -> None:
    """The key goes along, and an unknown price is an unknown cost."""
    call = replies.call("finish", answer="42")
    scripted_model.follow([replies.calls(call, call, say="Well.").using(11, 7)])
    reply = await _ask(models)
    assert reply.thought == "Well."
    assert [(each.tool, json.loads(each.arguments)) for each in reply.calls] == [
        ("finish", {"answer": "42"})
    ] * 2
    assert len({each.id for each in reply.calls}) == 2
    assert (reply.input_tokens, reply.output_tokens, reply.cost_usd) == (11, 7, None)
    assert (reply.finish_reason, reply.problem) == ("tool_calls", None)
    assert scripted_model.requests[0].headers["authorization"] == "Bearer secret"


async def test_a_reply_of_3_mb_comes_whole(models: Models, scripted_model: ScriptedModel) -> None:
    """What is too long for a history is none of the client's business."""
    scripted_model.follow([replies.big(3_000_000)])
    assert len((await _ask(models)).thought) == 3_000_000


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (replies.empty(), EMPTY),
        (replies.truncated("Half an ans"), CUT_OFF),
        (replies.filtered(), FILTERED),
    ],
)
async def test_a_reply_of_no_use_is_paid_for_and_says_why(
    models: Models, scripted_model: ScriptedModel, reply: replies.Completion, problem: str
) -> None:
    """It is no error: the model is told, and what it cost counts."""
    scripted_model.follow([reply.using(5, 6)])
    answer = await _ask(models)
    assert (answer.problem, answer.calls, answer.output_tokens) == (problem, (), 6)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (replies.status(429), "is busy (429)"),
        (replies.status(408), "is busy (408)"),
        (replies.status(409), "is busy (409)"),
        (replies.status(500, "Out of order"), "is busy (500): Out of order."),
        (replies.status(503), "is busy (503)"),
        (replies.drop(), "cannot be reached"),
        (replies.drop(midway=False), "cannot be reached"),
        (replies.half_json(), "not JSON"),
    ],
)
async def test_what_may_pass_is_worth_another_try(
    models: Models, scripted_model: ScriptedModel, failure: replies.Reply, said: str
) -> None:
    """One request each, since retries are Temporal's; the next one is answered."""
    scripted_model.follow([[failure, replies.say("Here.")]])
    with pytest.raises(ModelBusy) as caught:
        await _ask(models)
    assert said in str(caught.value)
    assert scripted_model.url in str(caught.value)
    assert caught.value.retry_after is None
    assert len(scripted_model.requests) == 1
    assert (await _ask(models)).thought == "Here."


async def test_a_server_that_is_not_there_is_worth_another_try(
    models: Models, tmp_path: Path
) -> None:
    """It may be starting; the sentence names its address."""
    catalog = Catalog({"OPENAI_BASE_URL": NOBODY}, tmp_path / "models.toml")
    models = Models(catalog, _no_local_model)
    with pytest.raises(ModelBusy, match=f"{NOBODY} cannot be reached.*Is the server up"):
        await _ask(models)
    await models.close()


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (replies.status(401, "Wrong key"), ["OPENAI_API_KEY", "(401)", "Wrong key.", "valid key"]),
        (replies.status(403), ["OPENAI_API_KEY", "(403)"]),
        (replies.status(404, "No model"), ["'scripted'", "No model.", "PERDURE_MODEL"]),
        (replies.status(400, "Bad tools"), ["'scripted' (400)", "Bad tools.", "models.toml"]),
        (replies.status(422, "Bad tools"), ["'scripted' (422)", "Bad tools."]),
        (
            replies.status(429, "Pay first", code="insufficient_quota", retry_after=60),
            ["OPENAI_API_KEY", "used up", "Pay first."],
        ),
    ],
)
async def test_what_will_not_pass_is_refused_with_a_cure(
    models: Models, scripted_model: ScriptedModel, failure: replies.Reply, words: list[str]
) -> None:
    """The sentence carries the server's own words; nobody waits for it to get better."""
    scripted_model.follow([[failure, replies.say("Here.")]])
    with pytest.raises(ModelRefused) as caught:
        await _ask(models)
    assert not isinstance(caught.value, PromptTooLong)
    assert all(word in str(caught.value) for word in words)
    assert "secret" not in str(caught.value)
    assert (await asyncio.wait_for(_ask(models), 5)).thought == "Here."


@pytest.mark.parametrize(
    "failure",
    [
        replies.status(400, "Too long", code="context_length_exceeded"),
        replies.status(400, "This model's maximum context length is 4096 tokens"),
        replies.status(400, "the request exceeds the available context window"),
    ],
)
async def test_a_prompt_that_is_too_long_is_told_apart(
    models: Models, scripted_model: ScriptedModel, failure: replies.Reply
) -> None:
    """By the code, or by the words of servers that have none."""
    scripted_model.follow([failure])
    with pytest.raises(PromptTooLong, match=r"models\.toml"):
        await _ask(models)


async def test_one_retry_after_holds_for_the_whole_endpoint(
    models: Models, scripted_model: ScriptedModel
) -> None:
    """Runs that ask meanwhile wait with the one that was told to."""
    scripted_model.follow([[replies.status(429, retry_after=0.3), replies.say("Here.")]])
    began = time.monotonic()
    with pytest.raises(ModelBusy) as caught:
        await _ask(models)
    assert caught.value.retry_after == 0.3
    answers = await asyncio.gather(*(_ask(models, f"model-{n}") for n in range(5)))
    assert [answer.thought for answer in answers] == ["Here."] * 5
    first, *later = (request.time for request in scripted_model.requests)
    assert min(later) - first >= 0.29
    assert time.monotonic() - began < 5


async def test_a_shorter_retry_after_does_not_cut_a_longer_one_short(
    models: Models, scripted_model: ScriptedModel
) -> None:
    """Of two replies that cross, the one that asks for the longer pause holds."""
    scripted_model.follow(
        [
            [
                replies.status(429, retry_after=0.4),
                replies.slow(0.05, replies.status(503, retry_after=0)),
                replies.say("Here."),
            ]
        ]
    )
    began = time.monotonic()
    outcomes = await asyncio.gather(_ask(models), _ask(models), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ModelBusy, ModelBusy]
    assert (await _ask(models)).thought == "Here."
    assert time.monotonic() - began >= 0.39


@pytest.mark.parametrize("asked", [90.0, 1e300])
async def test_a_long_pause_is_left_to_the_retry_policy(
    models: Models, scripted_model: ScriptedModel, asked: float
) -> None:
    """Nobody sleeps through an activity's time-out, and an hour is the most that is believed."""
    scripted_model.follow([replies.status(429, retry_after=asked)])
    for _ in range(2):
        with pytest.raises(ModelBusy) as caught:
            await _ask(models)
        assert caught.value.retry_after is not None
        assert 80 < caught.value.retry_after <= min(asked, 3600)
    assert len(scripted_model.requests) == 1


async def test_a_missing_key_is_found_before_anything_is_sent(tmp_path: Path) -> None:
    """The sentence says how to do without."""
    models = Models(Catalog({}, tmp_path / "models.toml"), _no_local_model)
    with pytest.raises(UnknownModel, match="OPENAI_API_KEY is not set"):
        await _ask(models, "gpt-5-mini")


async def test_the_local_model_is_asked_where_it_was_started(
    scripted_model: ScriptedModel, tmp_path: Path
) -> None:
    """Its address is found out when it is needed, and it needs no key."""

    async def local_url() -> str:
        return scripted_model.url

    scripted_model.follow({"a task": [replies.finish("Done.")]})  # not the worked examples
    models = Models(Catalog({}, tmp_path / "models.toml"), local_url)
    reply = await _ask(models, "local")
    assert (reply.calls[0].tool, reply.cost_usd) == ("finish", 0)
    await models.close()


STRANGE: list[Any] = [
    {},
    [],
    "text",
    {"choices": []},
    {"choices": "text"},
    {"choices": {"a": 1}},
    {"choices": [{"message": "text"}]},
    {"choices": [{"message": {"tool_calls": ["text"]}}]},
    {"choices": [{"message": {"tool_calls": 3}}]},
    {"choices": [{"message": {"content": [{"text": None}]}}]},
    {"choices": [{"message": {"content": 3}}]},
    {"error": {"message": "The provider is down"}},
]


async def _serve(body: bytes) -> tuple[asyncio.Server, str]:
    """A server that answers every request with `body`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            line for line in head.decode().lower().splitlines() if line.startswith("content-length")
        )
        await reader.readexactly(int(length.partition(":")[2]))
        writer.write(http_reply(body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def _ask_server(body: bytes, tmp_path: Path) -> Reply:
    server, url = await _serve(body)
    models = Models(Catalog({"OPENAI_BASE_URL": url}, tmp_path / "models.toml"), _no_local_model)
    try:
        return await _ask(models)
    finally:
        await models.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("reply", STRANGE)
async def test_a_reply_in_a_strange_form_is_worth_another_try(reply: Any, tmp_path: Path) -> None:
    """Whatever some gateway sends with status 200, it is told in a sentence and not paid for."""
    with pytest.raises(ModelBusy, match="sent a reply"):
        await _ask_server(json.dumps(reply).encode(), tmp_path)


async def test_a_reply_nested_without_end_is_worth_another_try(tmp_path: Path) -> None:
    """JSON that Python cannot take in is no JSON to us."""
    with pytest.raises(ModelBusy, match="not JSON"):
        await _ask_server(b"[" * 100_000, tmp_path)


@pytest.mark.parametrize(
    ("said", "counted"), [(None, 0), ("12", 0), (-5, 0), (10**12, 2**31 - 1), (3, 3)]
)
async def test_token_counts_are_numbers_that_can_be_stored(
    said: Any, counted: int, tmp_path: Path
) -> None:
    """A server that counts nonsense costs no reply."""
    usage = {"prompt_tokens": said, "completion_tokens": said, "prompt_tokens_details": None}
    body = {"choices": [{"message": {"content": "Hello."}}], "usage": usage}
    reply = await _ask_server(json.dumps(body).encode(), tmp_path)
    assert (reply.thought, reply.input_tokens, reply.output_tokens) == ("Hello.", counted, counted)


async def test_a_key_that_the_endpoint_quotes_is_not_told(
    models: Models, scripted_model: ScriptedModel
) -> None:
    """It would reach the history, the store and the terminal."""
    scripted_model.follow([replies.status(401, "Incorrect API key provided: secret")])
    with pytest.raises(ModelRefused) as refused:
        await _ask(models)
    assert "secret" not in str(refused.value)
    assert "$OPENAI_API_KEY" in str(refused.value)
