"""Which reply a request gets: decided by the request alone, so many runs can share one script."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from pydantic import TypeAdapter

from perdure.testing.replies import Reply, status

ANY_TASK = "*"


@dataclass(kw_only=True)
class ChatRequest:
    """One request as the script sees it."""

    task: str
    """The user message that the conversation is about."""
    place: int
    """How many replies the model has already given since the task: 0 for the first."""
    attempt: int = 0
    """How often this task was asked at this place before."""
    body: dict[str, Any]
    """The request itself; empty in a record whose body was not kept."""
    headers: dict[str, str]
    """Names in lower case."""
    size: int
    """Bytes of the body."""
    time: float = field(default_factory=time.time)
    served: bool = False
    """Whether a complete chat completion was sent: what a provider would charge for."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.body.get("messages", [])
        return messages


Attempts = Reply | Sequence[Reply]
"""A reply, or one reply for each attempt of which the last repeats."""

Steps = Sequence[Attempts] | Callable[[ChatRequest], Attempts]
"""The replies of one task in order, or a function that finds them."""

Script = Steps | Mapping[str, Steps]
"""Steps for every task, or by a text that the task contains (`*`: any other task)."""

_FILE: TypeAdapter[dict[str, list[Reply | list[Reply]]]] = TypeAdapter(
    dict[str, list[Reply | list[Reply]]]
)


def dump_script(script: Mapping[str, Sequence[Attempts]]) -> bytes:
    """The script as JSON, for a server in a process of its own. Functions cannot be written."""
    return _FILE.dump_json(
        {
            text: [list(item) if isinstance(item, Sequence) else item for item in steps]
            for text, steps in script.items()
        }
    )


def load_script(text: bytes) -> Script:
    """The script that `dump_script` wrote."""
    return _FILE.validate_json(text)


def find_place(messages: list[dict[str, Any]], script: Script) -> tuple[str, int]:
    """The task that `messages` are about, and how many replies the model gave since.

    The task is the first user message that names a script. When a conversation goes on with
    a second task that names another script, it is that one.
    """
    users = [
        (position, _text(message))
        for position, message in enumerate(messages)
        if message["role"] == "user"
    ]
    named = [next((user for user in users if name in user[1]), None) for name in _names(script)]
    position, task = max((user for user in named if user), default=[*users, (0, "")][0])
    return task, sum(message["role"] == "assistant" for message in messages[position:])


def reply_to(request: ChatRequest, script: Script) -> Reply:
    """What `script` says at the request's place; beyond its end, an error that no one retries."""
    steps = _steps(request.task, script)
    if callable(steps):
        return _attempt(steps(request), request.attempt)
    if request.place >= len(steps):
        return status(400, f"The script has {len(steps)} replies for «{request.task:.80}».")
    return _attempt(steps[request.place], request.attempt)


def key_of(request: ChatRequest) -> str:
    """A key for the request's place in its task, the same for every attempt."""
    return f"{blake2b(request.task.encode(), digest_size=6).hexdigest()}_{request.place}"


def _names(script: Script) -> Iterable[str]:
    return [name for name in script if name != ANY_TASK] if isinstance(script, Mapping) else []


def _steps(task: str, script: Script) -> Steps:
    if not isinstance(script, Mapping):
        return script
    name = next((name for name in _names(script) if name in task), ANY_TASK)
    return script.get(name, ())


def _attempt(item: Attempts, attempt: int) -> Reply:
    return item[min(attempt, len(item) - 1)] if isinstance(item, Sequence) else item


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)
