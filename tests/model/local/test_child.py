"""The real local model, as a child process."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest
import pytest_asyncio
from openai import AsyncOpenAI, BadRequestError

from perdure.errors import UnknownModel
from perdure.model.local.child import LocalModel
from perdure.model.local.examples import INSTRUCTIONS, example_messages

PARENT = """
import asyncio
from perdure.model.local.child import LocalModel

async def main():
    model = LocalModel()
    await model.url()
    print(model.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
PATH = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
TEXT = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


def request(task: str) -> dict[str, Any]:
    """A request with the small-model profile and two tools."""
    tools = {"read_file": PATH, "finish": TEXT}
    return {
        "model": "local",
        "messages": [
            {"role": "system", "content": INSTRUCTIONS},
            *example_messages(),
            {"role": "user", "content": task},
        ],
        "tools": [
            {"type": "function", "function": {"name": name, "parameters": parameters}}
            for name, parameters in tools.items()
        ],
        "temperature": 0,
    }


async def ask(url: str, task: str) -> Any:
    async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        return await client.chat.completions.create(**request(task))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def model() -> AsyncIterator[LocalModel]:
    model = LocalModel()
    yield model
    await model.close()


async def test_a_native_tool_call_comes_back_with_its_usage(model: LocalModel) -> None:
    """The openai client needs to know nothing of steps and grammars."""
    completion = await ask(await model.url(), "Read city.txt and report the text.")
    (call,) = completion.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("read_file", '{"path": "city.txt"}')
    assert completion.usage.prompt_tokens > 100
    assert completion.usage.completion_tokens > 5


async def test_an_overlong_prompt_is_a_clean_400(model: LocalModel) -> None:
    """Its code is the one that OpenAI uses."""
    with pytest.raises(BadRequestError) as refusal:
        await ask(await model.url(), "hello " * 5000)
    assert refusal.value.code == "context_length_exceeded"


async def test_a_server_that_died_is_started_again_once(model: LocalModel) -> None:
    """Callers at the same time share one start, and the new server answers."""
    await model.url()
    assert model.pid is not None
    dead = psutil.Process(model.pid)
    dead.kill()
    while model.pid == dead.pid:
        await asyncio.sleep(0)  # until the event loop has heard of it
    first, second = await asyncio.gather(model.url(), model.url())
    assert first == second
    async with AsyncOpenAI(base_url=first, api_key="none", max_retries=0) as client:
        assert [each.id async for each in await client.models.list()]


async def test_the_server_dies_with_a_parent_that_is_killed() -> None:
    """No signal is needed: the system closes the pipe that is the server's standard input."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=PIPE, stdin=PIPE
    )
    assert parent.stdout is not None
    server = psutil.Process(int(await parent.stdout.readline()))
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, [server], timeout=5)
    assert not alive or server.status() == psutil.STATUS_ZOMBIE


async def test_a_model_file_that_does_not_exist_is_named() -> None:
    """The error says which file, and what to do."""
    with pytest.raises(UnknownModel, match=r"'no\.gguf' does not exist\. Name a GGUF file"):
        await LocalModel("no.gguf").url()


async def test_a_model_file_that_cannot_be_loaded_is_explained() -> None:
    """The last lines of the server's standard error are in the message."""
    with pytest.raises(UnknownModel, match="did not start") as failure:
        await LocalModel(__file__).url()
    assert "test_child.py" in str(failure.value)
