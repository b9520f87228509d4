"""What a model said: its thought, its tool calls, and what is wrong with it if anything is."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

EMPTY = "Your last reply was empty. Call a tool, or call finish with your answer."
CUT_OFF = (
    "Your last reply was cut off because it grew too long. Do it in smaller parts: fewer words,"
    " smaller files, one tool call at a time."
)
FILTERED = (
    "Your last reply was withheld by the provider's content filter. Say it in another way, or go on"
    " without it."
)


@dataclass(frozen=True, slots=True)
class RequestedCall:
    """A tool call as the model wrote it: `arguments` is its own text, perhaps not even JSON."""

    id: str
    tool: str
    arguments: str


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
    return text, calls


def find_problem(
    thought: str, calls: tuple[RequestedCall, ...], finish_reason: str
) -> str | None:
    """Why a reply is of no use, or None. A reply with calls is judged call by call."""
    if finish_reason == "content_filter":
        return FILTERED
    if calls:
        return None
    if finish_reason == "length":
        return CUT_OFF
    return None if thought.strip() else EMPTY


def _read_call(call: dict[str, Any], seen: set[str]) -> RequestedCall:
    function = call.get("function") or {}
    id = call.get("id") or ""
    if (
        not id or id in seen
    ):  # some servers leave it out or repeat it; results are paired by it
        id = f"call_{uuid4().hex[:16]}"
    seen.add(id)
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else ""
    return RequestedCall(id, str(function.get("name") or ""), text)
