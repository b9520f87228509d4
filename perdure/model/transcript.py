"""The transcript as a model sees it: turns and entries in order, every call with its result."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from perdure.contracts import FINISH
from perdure.errors import ToolError
from perdure.model.window import clip
from perdure.store.tables import StoredEntry, Turn
from perdure.tools.arguments import parse

RESULT_CHARACTERS = 16_000
"""How much of one tool result a model is shown; the store keeps the whole."""

SAID_CHARACTERS = 64_000
"""How much of its own text, and of one call's arguments, a model is shown again."""

LOST = (
    "No result of this call is known here: the run was interrupted before one was recorded, or this"
    " one goes on from before it."
)
ENDED = "The run ended with this answer."

ChatMessage = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was shown at one step, and the turn that replied; the last one waits for its reply."""

    entries: Sequence[StoredEntry]
    turn: Turn | None


def shown_text(entry: StoredEntry) -> str:
    if entry.kind != "result":
        return entry.text
    text = clip(entry.text, RESULT_CHARACTERS)
    if entry.dropped:
        text += f"\n[… {entry.dropped:,} more characters were not kept …]"
    return text if entry.status == "ok" else f"[{entry.status}] {text}"


def characters(entries: Iterable[StoredEntry], thought: str, arguments: Iterable[str]) -> int:
    """Length of one exchange as it is shown."""
    said = (thought, *arguments)
    return sum(len(shown_text(entry)) for entry in entries) + sum(
        min(len(text), SAID_CHARACTERS) for text in said
    )


def arrange(
    turns: Sequence[Turn],
    found: Mapping[str, StoredEntry],
    new: Sequence[StoredEntry],
    limit: int,
) -> list[Exchange]:
    """The exchanges of `turns`, then the one that `new` entries open.

    The results in one exchange take half of `limit` characters at most, so that the model sees
    something of each however small its window is.
    """
    past = [
        Exchange(
            _cut([found[each] for each in turn.entries if each in found], limit),
            _shown_turn(turn, min(SAID_CHARACTERS, limit)),
        )
        for turn in turns
    ]
    return [*past, Exchange(_cut(new, limit), None)]


def _shown_turn(turn: Turn, longest: int) -> Turn:
    """The turn, with what is too long to be said again cut out of it."""
    if max(len(turn.thought), *(len(call["arguments"]) for call in turn.calls), 0) <= longest:
        return turn
    calls = [call | {"arguments": _said(call["arguments"], longest)} for call in turn.calls]
    return Turn(
        **turn.model_dump(exclude={"thought", "calls"}),
        thought=clip(turn.thought, longest),
        calls=calls,
    )


def _said(arguments: str, longest: int) -> str:
    if len(arguments) <= longest:
        return arguments
    return json.dumps({"left_out": f"{len(arguments):,} characters"})


def _cut(entries: Sequence[StoredEntry], limit: int) -> Sequence[StoredEntry]:
    results = sum(entry.kind == "result" for entry in entries)
    longest = limit // (2 * results) if results else RESULT_CHARACTERS
    if longest >= RESULT_CHARACTERS:
        return entries
    return [_shortened(entry, longest) for entry in entries]


def _shortened(entry: StoredEntry, longest: int) -> StoredEntry:
    if entry.kind != "result" or len(entry.text) <= longest:
        return entry
    return StoredEntry(**entry.model_dump() | {"text": clip(entry.text, longest)})


def native_messages(exchanges: Sequence[Exchange]) -> list[ChatMessage]:
    """Messages of the chat-completions API with native tool calls."""
    messages: list[ChatMessage] = []
    calls: Sequence[dict[str, Any]] = ()
    for exchange in exchanges:
        results = {entry.call: entry for entry in exchange.entries if entry.kind == "result"}
        messages += [_tool_message(call, results.get(call["id"])) for call in calls]
        messages += [
            {"role": "user", "content": shown_text(entry)}
            for entry in exchange.entries
            if entry.kind != "result"
        ]
        if exchange.turn is not None:
            messages.append(_assistant_message(exchange.turn))
            calls = exchange.turn.calls
    return messages


def _tool_message(call: dict[str, Any], result: StoredEntry | None) -> ChatMessage:
    return {"role": "tool", "tool_call_id": call["id"], "content": result_text(call, result)}


def result_text(call: dict[str, Any], result: StoredEntry | None) -> str:
    """What a call brought, as the model is told; every call has something to be told."""
    if result is not None:
        return shown_text(result)
    return ENDED if call["tool"] == FINISH else LOST


def _assistant_message(turn: Turn) -> ChatMessage:
    if not turn.calls:
        return {"role": "assistant", "content": turn.thought or "(nothing)"}
    calls = [
        {
            "id": call["id"],
            "type": "function",
            "function": {
                "name": _valid_name(call["tool"]),
                "arguments": _valid_json(call["arguments"]),
            },
        }
        for call in turn.calls
    ]
    return {"role": "assistant", "content": turn.thought or None, "tool_calls": calls}


def _valid_name(tool: str) -> str:
    """Servers refuse a past call whose tool has a name that no tool can have."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", tool)[:64] or "unnamed"


def _valid_json(arguments: str) -> str:
    """Servers refuse a past call whose arguments are no JSON object, so they get one."""
    with suppress(ValueError, RecursionError):
        if isinstance(json.loads(arguments), dict):
            return arguments
    try:
        return json.dumps(parse("call", arguments))  # as leniently as when it was carried out
    except ToolError:
        return "{}"
