"""What a model said: its thought, its tool calls, and what is wrong with it if anything is."""

import json
from dataclasses import dataclass
from typing import Any, Self
from uuid import uuid4

from perdure.plain_text import storable

MOST_CALLS = 64
_LONGEST_NAME = 200

EMPTY = "Your last reply was empty. Call a tool, or call finish with your answer."
CUT_OFF = (
    "Your last reply was cut off because it grew too long. Do it in smaller parts: fewer words,"
    " smaller files, one tool call at a time."
)
FILTERED = (
    "Your last reply was withheld by the provider's content filter. Say it in another way, or go on"
    " without it."
)
TOO_MANY = (
    f"Your last reply asked for more than {MOST_CALLS} tool calls at once, and none was carried"
    " out. Ask for fewer."
)


@dataclass(frozen=True, slots=True)
class RequestedCall:
    """A tool call as the model wrote it: `arguments` is its own text, perhaps not even JSON."""

    id: str
    tool: str
    arguments: str

    @classmethod
    def read(cls, tool: object, arguments: object, id: str = "") -> Self:
        """A call of what some server sent; without an id that can be used it gets a new one."""
        usable = id if 0 < len(id) <= _LONGEST_NAME else f"call_{uuid4().hex[:16]}"
        # Some servers send the object itself instead of its text.
        text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
        name = tool[:_LONGEST_NAME] if isinstance(tool, str) else ""
        return cls(storable(usable), storable(name), storable(text))


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `problem` says why it is of no use, in words for the model."""

    thought: str
    calls: tuple[RequestedCall, ...]
    finish_reason: str
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    problem: str | None = None


def read_message(choice: dict[str, Any]) -> tuple[str, tuple[RequestedCall, ...]]:
    """Text and tool calls of a native chat completion's `choice`."""
    message = choice.get("message") or {}
    text = message.get("content") or message.get("refusal") or ""
    if isinstance(text, list):
        text = "".join(part.get("text", "") for part in text)
    seen: set[str] = set()
    calls = tuple(_read_call(call, seen) for call in message.get("tool_calls") or ())
    return storable(text), calls


def find_problem(thought: str, calls: tuple[RequestedCall, ...], finish_reason: str) -> str | None:
    """Why a reply is of no use, or None. A reply with calls is judged call by call."""
    if finish_reason == "content_filter":
        return FILTERED
    if len(calls) > MOST_CALLS:
        return TOO_MANY
    if calls:
        return None
    if finish_reason == "length":
        return CUT_OFF
    return None if thought.strip() else EMPTY


def _read_call(call: dict[str, Any], seen: set[str]) -> RequestedCall:
    function = call.get("function") or {}
    given = str(call.get("id") or "")
    # Some servers leave the id out or repeat it, and results are paired by it.
    read = RequestedCall.read(
        function.get("name"), function.get("arguments"), "" if given in seen else given
    )
    seen.add(read.id)
    return read
