"""The scripted model, asked through the real OpenAI client."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from perdure.testing.process import ScriptedModelProcess
from perdure.testing.replies import (
    Completion,
    Status,
    big,
    call,
    calls,
    drop,
    empty,
    filtered,
    finish,
    half_json,
    hang,
    json_step,
    raw_call,
    say,
    slow,
    status,
    truncated,
)
from perdure.testing.script import Attempts, ChatRequest, dump_script
from perdure.testing.scripted_model import ScriptedModel

pytest_plugins = ["perdure.testing.fixtures"]


@pytest_asyncio.fixture
async def client(scripted_model: ScriptedModel) -> AsyncIterator[openai.AsyncOpenAI]:
    async with _client(scripted_model.url) as client:
        yield client


def _client(url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=url, api_key="secret", max_retries=0)


async def _ask(
    client: openai.AsyncOpenAI, task: str = "a task", replies: int = 0
) -> ChatCompletion:
    """Ask as a run does that has had `replies` replies so far."""
    had: list[ChatCompletionMessageParam] = [{"role": "assistant", "content": "x"}] * replies
    return await client.chat.completions.create(
        model="any", messages=[{"role": "user", "content": task}, *had]
    )


async def _first(
    client: openai.AsyncOpenAI, model: ScriptedModel, reply: Completion
) -> ChatCompletion:
    model.follow([reply])
    return await _ask(client)


async def test_text_is_the_content(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """A reply in plain text is the message's content, and the run's end."""
    choice = (await _first(client, scripted_model, say("Hello."))).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Hello.", "stop")
    assert choice.message.tool_calls is None


async def test_calls_come_as_native_tool_calls(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """Two calls in one reply have their own ids, their arguments as JSON, and the text beside."""
    reply = calls(call("read_file", path="a"), raw_call("edit", '{"half'), say="Both.")
    choice = (await _first(client, scripted_model, reply)).choices[0]
    one, two = choice.message.tool_calls or []
    assert one.type == two.type == "function"
    assert json.loads(one.function.arguments) == {"path": "a"}
    assert (two.function.name, two.function.arguments) == ("edit", '{"half')
    assert one.id != two.id
    assert (choice.message.content, choice.finish_reason) == ("Both.", "tool_calls")


async def test_finish_is_a_call(client: openai.AsyncOpenAI, scripted_model: ScriptedModel) -> None:
    """The answer of `finish` is an argument of the control tool."""
    message = (await _first(client, scripted_model, finish("42"))).choices[0].message
    assert message.tool_calls
    assert message.tool_calls[0].type == "function"
    assert json.loads(message.tool_calls[0].function.arguments) == {"answer": "42"}


async def test_a_json_step_is_text(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """A model without native tools writes its step as the content."""
    reply = json_step("finish", thought="Done.", is_final=True, answer="42")
    content = (await _first(client, scripted_model, reply)).choices[0].message.content
    assert json.loads(content or "") == {
        "thought": "Done.",
        "action": {"tool": "finish", "input": {"answer": "42"}},
        "is_final": True,
    }


@pytest.mark.parametrize(
    ("reply", "content", "reason"),
    [
        (empty(), None, "stop"),
        (truncated("Once upon"), "Once upon", "length"),
        (filtered(), None, "content_filter"),
    ],
)
async def test_odd_replies_keep_their_finish_reason(
    client: openai.AsyncOpenAI,
    scripted_model: ScriptedModel,
    reply: Completion,
    content: str | None,
    reason: str,
) -> None:
    """Empty, cut-off and filtered replies are complete replies with their own reason."""
    choice = (await _first(client, scripted_model, reply)).choices[0]
    assert (choice.message.content, choice.finish_reason) == (content, reason)


async def test_a_reply_can_be_huge(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """Three megabytes arrive whole."""
    content = (await _first(client, scripted_model, big(3_000_001))).choices[0].message.content
    assert len(content or "") == 3_000_001


async def test_usage_is_computed_or_given(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """Token counts follow the sizes of request and reply unless the script sets them."""
    computed = (await _first(client, scripted_model, say("12345678"))).usage
    given = (await _first(client, scripted_model, say("hi").using(1000, 200))).usage
    assert computed and given
    assert (computed.completion_tokens, computed.prompt_tokens > 0) == (3, True)
    assert (given.prompt_tokens, given.completion_tokens, given.total_tokens) == (
        1000,
        200,
        1200,
    )


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (status(401, "Wrong key."), openai.AuthenticationError),
        (status(429, retry_after=0.1), openai.RateLimitError),
        (status(500), openai.InternalServerError),
        (status(503), openai.InternalServerError),
    ],
)
async def test_a_status_is_openais_error(
    client: openai.AsyncOpenAI,
    scripted_model: ScriptedModel,
    fault: Status,
    error: type[openai.APIStatusError],
) -> None:
    """The client raises its own error class for each HTTP status."""
    scripted_model.follow([[fault]])
    with pytest.raises(error, match=fault.message):
        await _ask(client)


async def test_a_status_carries_its_code_and_wait(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """Rate limit and exhausted quota differ by the error's code; the wait is in the header."""
    scripted_model.follow([status(429, code="insufficient_quota", retry_after=0.1)])
    with pytest.raises(openai.RateLimitError) as raised:
        await _ask(client)
    assert raised.value.code == "insufficient_quota"
    assert raised.value.response.headers["retry-after"] == "0.1"


@pytest.mark.parametrize("midway", [True, False])
async def test_a_drop_is_a_connection_error(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel, midway: bool
) -> None:
    """A connection closed before or within the reply is a connection error, and a retry works."""
    scripted_model.follow([[drop(midway=midway), say("Here again.")]])
    with pytest.raises(openai.APIConnectionError):
        await _ask(client)
    assert (await _ask(client)).choices[0].message.content == "Here again."


async def test_half_a_json_cannot_be_read(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """A complete HTTP reply whose JSON is cut off is an error of the JSON reader."""
    scripted_model.follow([half_json()])
    with pytest.raises(json.JSONDecodeError):
        await _ask(client)


async def test_hang_lasts_until_the_client_gives_up(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """A reply that never comes is the client's time-out, and the server stops all the same."""
    scripted_model.follow([hang()])
    with pytest.raises(openai.APITimeoutError):
        await _ask(client.with_options(timeout=0.1))
    assert scripted_model.served() == 0


async def test_slow_comes_later(client: openai.AsyncOpenAI, scripted_model: ScriptedModel) -> None:
    """A slow reply is the same reply, not before its time."""
    began = asyncio.get_running_loop().time()
    scripted_model.follow([slow(0.05, say("At last."))])
    assert (await _ask(client)).choices[0].message.content == "At last."
    assert asyncio.get_running_loop().time() - began >= 0.05


async def test_the_place_is_the_number_of_replies_so_far(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """Requests in any order get the reply of their place, and the same one each time."""
    scripted_model.follow([say("one"), say("two")])
    texts = [(await _ask(client, replies=n)).choices[0].message.content for n in (1, 0, 1)]
    assert texts == ["two", "one", "two"]


async def test_beyond_the_script_is_an_error(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """A run that asks for more than the script has is told so, and does not retry."""
    scripted_model.follow([say("one")])
    with pytest.raises(openai.BadRequestError, match="The script has 1 replies for «a task»"):
        await _ask(client, replies=1)


async def test_the_task_names_its_script(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """Scripts go by a text that the task contains, with one for all other tasks."""
    scripted_model.follow({"fibonacci": [say("1 1 2 3")], "*": [say("anything")]})
    named = await _ask(client, "Write fibonacci numbers")
    other = await _ask(client, "Write primes")
    assert named.choices[0].message.content == "1 1 2 3"
    assert other.choices[0].message.content == "anything"


async def test_worked_examples_before_the_task_do_not_count(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """Only replies after the message that names the script move its place."""
    scripted_model.follow({"real task": [say("first")]})
    reply = await client.chat.completions.create(
        model="any",
        messages=[
            {"role": "user", "content": "an example"},
            {"role": "assistant", "content": "its reply"},
            {"role": "user", "content": [{"type": "text", "text": "the real task"}]},
        ],
    )
    assert reply.choices[0].message.content == "first"


async def test_a_second_task_starts_its_own_script(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """A conversation that goes on with another task follows that task's script from its start."""
    scripted_model.follow({"alpha": [say("a")], "beta": [say("b")]})
    reply = await client.chat.completions.create(
        model="any",
        messages=[
            {"role": "user", "content": "do alpha"},
            {"role": "assistant", "content": "a"},
            {"role": "user", "content": "now beta"},
        ],
    )
    assert reply.choices[0].message.content == "b"


async def test_a_function_can_be_the_script(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """A long run's replies are computed from the request, with attempts as well."""

    def steps(request: ChatRequest) -> list[Status | Completion]:
        return [status(500), say(f"step {request.place} of {request.task}")]

    scripted_model.follow(steps)
    with pytest.raises(openai.InternalServerError):
        await _ask(client, replies=700)
    assert (await _ask(client, replies=700)).choices[0].message.content == "step 700 of a task"


async def test_records_tell_what_was_asked_and_paid(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """Every request is recorded with its place and attempt; a fault is not counted as served."""
    scripted_model.follow([[status(429), say("one")], say("two")])
    with pytest.raises(openai.RateLimitError):
        await _ask(client)
    await _ask(client)
    await _ask(client, replies=1)
    seen = [(each.place, each.attempt, each.served) for each in scripted_model.requests]
    assert seen == [(0, 0, False), (0, 1, True), (1, 0, True)]
    assert (scripted_model.served("task", 0), scripted_model.served("other")) == (1, 0)
    assert scripted_model.requests[0].headers["authorization"] == "Bearer secret"
    assert scripted_model.requests[0].messages[0]["content"] == "a task"


async def test_hooks_surround_the_reply() -> None:
    """A test can act between request and reply, and right after the reply was sent."""
    seen = []

    async def before(request: ChatRequest) -> None:
        seen.append(("before", request.served))

    async def after(request: ChatRequest) -> None:
        seen.append(("after", request.served))

    async with (
        ScriptedModel([say("x")], on_request=before, on_reply=after) as model,
        _client(model.url) as client,
    ):
        await _ask(client)
    assert seen == [("before", False), ("after", True)]


async def test_a_script_that_fails_says_so(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """An error in a test's own script reaches the client; it does not leave it waiting."""

    def steps(request: ChatRequest) -> Completion:
        raise LookupError(f"no step {request.place}")

    scripted_model.follow(steps)
    with pytest.raises(openai.BadRequestError, match="The script failed: LookupError"):
        await _ask(client)


async def test_a_reply_to_a_dead_client_is_not_served() -> None:
    """The hook runs to its end though the client is gone, and nothing counts as sent."""
    arrived, gone, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def outlive(_: ChatRequest) -> None:
        arrived.set()
        await gone.wait()

    async def mark(_: ChatRequest) -> None:
        done.set()

    async with ScriptedModel([say("x")], on_request=outlive, on_reply=mark) as model:
        async with _client(model.url) as client:
            asking = asyncio.create_task(_ask(client))
            await arrived.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        while model.connected:
            await asyncio.sleep(0)
        gone.set()
        await done.wait()
        assert (len(model.requests), model.served()) == (1, 0)


async def test_models_are_listed(client: openai.AsyncOpenAI) -> None:
    """`/v1/models` names the models, as a provider does."""
    assert [model.id async for model in client.models.list()] == ["scripted"]


async def test_nonsense_is_refused(
    client: openai.AsyncOpenAI, scripted_model: ScriptedModel
) -> None:
    """A body without messages and an unknown path get an error, not a hang."""
    with pytest.raises(openai.BadRequestError, match="not a chat-completions request"):
        await client.post("/chat/completions", body={}, cast_to=object)
    with pytest.raises(openai.NotFoundError, match="There is no GET /v1/files here"):
        await client.get("/files", cast_to=object)


async def test_a_process_of_its_own_follows_the_same_script() -> None:
    """A server process reads the script from a file, attempts and faults included."""
    script: dict[str, list[Attempts]] = {
        "*": [
            [status(500), calls(call("wait", seconds=1), say="x")],
            slow(0.01, say("two")),
        ]
    }
    with ScriptedModelProcess(script) as model:
        async with _client(model.url) as client:
            with pytest.raises(openai.InternalServerError):
                await _ask(client)
            assert (await _ask(client)).choices[0].message.tool_calls
            assert (await _ask(client, replies=1)).choices[0].message.content == "two"
        assert (model.served(), model.served(place=0), model.served("other")) == (
            2,
            1,
            0,
        )
        assert model.requests()[0]["body"] == {}


@pytest.mark.parametrize("by_signal", [True, False])
def test_a_process_ends_with_its_parent(tmp_path: Path, by_signal: bool) -> None:
    """SIGTERM or the end of standard input ends the server with status 0."""
    file = tmp_path / "script.json"
    file.write_bytes(dump_script({"*": [say("x")]}))
    command = [
        sys.executable,
        "-m",
        "perdure.testing.scripted_model",
        "--script",
        str(file),
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline().startswith(b"http://127.0.0.1:")
    if by_signal:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    process.communicate(timeout=10)
    assert process.returncode == 0
