"""How well the small local model does fixed kinds of tasks: uv run benchmarks/local_model.py.

A task succeeds when the file or the answer is right and the run ended by `finish` within the steps.
It runs the small-model profile against the real server and the real model, without Temporal.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from openai import AsyncOpenAI
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from perdure.model.local import LocalModel
from perdure.model.local_examples import INSTRUCTIONS, TEMPERATURE, example_messages

MOST_STEPS = 5
DEMO = "Create hello.txt with the text Hello from Perdure."
NAMES = (
    *("hello.txt", "notes.txt", "todo.md", "a.log", "city.txt"),
    *("red.txt", "data.csv", "names.txt", "plan.md", "x.txt"),
)
TEXTS = (
    *("hi", "buy milk", "ok", "42", "Paris"),
    *("good morning", "done", "red apple", "test", "see you"),
)


class write_file(BaseModel):
    """Write text to a file."""

    path: str
    content: str


class read_file(BaseModel):
    """Read a file."""

    path: str


class list_files(BaseModel):
    """List the files."""


class finish(BaseModel):
    """Finish the task with an answer."""

    answer: str


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": tool.__name__,
            "description": tool.__doc__,
            "parameters": tool.model_json_schema(),
        },
    }
    for tool in (write_file, read_file, list_files, finish)
]


@dataclass
class Trial:
    """One run of one task over files that live in memory."""

    task: str
    succeeded: Callable[["Trial"], bool]
    files: dict[str, str] = field(default_factory=dict)
    answer: str | None = None
    steps: int = 0
    tokens: int = 0

    def carry_out(self, tool: str, arguments: dict[str, Any]) -> str:
        """The result of one call, in the words of Perdure's own file tools."""
        match tool, arguments:
            case "write_file", {"path": path, "content": content}:
                self.files[path] = content
                return f"Wrote {len(content)} characters to {path}."
            case "read_file", {"path": path}:
                return self.files.get(path, f"{path!r} does not exist.")
            case "list_files", _:
                return "\n".join(sorted(self.files))
        return f"Tool {tool!r} is unknown."


def write_task(rng: random.Random) -> Trial:
    name, text = rng.choice(NAMES), rng.choice(TEXTS)
    task = f"Create {name} with the text {text}."
    return Trial(task, lambda trial: trial.files.get(name) == text)


def read_task(rng: random.Random) -> Trial:
    name, text = rng.choice(NAMES), rng.choice(TEXTS)
    task = f"Read {name} and report the text."
    return Trial(task, lambda trial: text in (trial.answer or ""), {name: text + "\n"})


def list_task(rng: random.Random) -> Trial:
    name = rng.choice(NAMES)
    return Trial("List the files.", lambda trial: name in (trial.answer or ""), {name: "z\n"})


def demo_task(rng: random.Random) -> Trial:
    return Trial(DEMO, lambda trial: trial.files == {"hello.txt": "Hello from Perdure."})


TASKS = {"write": write_task, "read": read_task, "list": list_task, "demo": demo_task}


async def run(client: AsyncOpenAI, trial: Trial, *, seed: int) -> None:
    """Let the model work on the trial until it finishes or has no steps left."""
    messages: list[Any] = [
        {"role": "system", "content": INSTRUCTIONS},
        *example_messages(),
        {"role": "user", "content": trial.task},
    ]
    while trial.answer is None and trial.steps < MOST_STEPS:
        trial.steps += 1
        messages += await step(client, trial, messages, seed=seed)


async def step(
    client: AsyncOpenAI, trial: Trial, messages: list[Any], *, seed: int
) -> list[dict[str, Any]]:
    """One think and its act: the messages that they add."""
    completion: Any = await client.chat.completions.create(
        model="local",
        messages=messages,
        tools=TOOLS,
        tool_choice="required",
        temperature=TEMPERATURE,
        seed=seed,
    )
    trial.tokens += completion.usage.total_tokens
    reply = completion.choices[0].message
    if not reply.tool_calls:
        return []
    call = reply.tool_calls[0]
    arguments = json_object(call.function.arguments)
    if call.function.name == "finish":
        trial.answer = arguments["answer"]
    result = trial.carry_out(call.function.name, arguments)
    return [
        reply.model_dump(exclude_none=True) | {"content": None},
        {"role": "tool", "tool_call_id": call.id, "content": result},
    ]
