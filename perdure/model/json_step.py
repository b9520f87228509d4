"""The JSON step of models without native tool calls: thought, action and is_final in one object."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from perdure.contracts import FINISH
from perdure.model.reply import RequestedCall
from perdure.model.transcript import ChatMessage, Exchange, result_text, shown_text
from perdure.plain_text import storable
from perdure.store.tables import StoredEntry, Turn
from perdure.tools.references import with_references
from perdure.tools.registry import Offer


class NotAStep(Exception):
    """The reply is not a JSON step; the message says why, in words for the model."""


def instructions(tools: Iterable[Offer]) -> str:
    """What the system message says about the step's form."""
    lines = [
        f"- {tool.name}: {tool.description} Input: {json.dumps(tool.parameters)}" for tool in tools
    ]
    return (
        "Reply with one JSON object and nothing else:\n"
        '{"thought": "why", "action": {"tool": "NAME", "input": {…}}, "is_final": false}\n'
        "One action a reply; its result comes in the next message. To end, use the tool finish and"
        ' set "is_final" to true.\nTools:\n' + "\n".join(lines)
    )


def schema(tools: Iterable[Offer]) -> dict[str, Any]:
    """JSON Schema of a step, for servers that can constrain a reply to one."""
    actions = [
        _object({"tool": {"const": tool.name}, "input": _moved(tool.parameters, number)})
        for number, tool in enumerate(tools)
    ]
    return _object(
        {
            "thought": {"type": "string"},
            "action": {"anyOf": actions},
            "is_final": {"type": "boolean"},
        }
    )


def read_step(text: str) -> tuple[str, tuple[RequestedCall, ...]]:
    """Thought and call of the step in `text`; raises NotAStep.

    Tolerated: code fences and words around the object, an action missing from a final step.
    """
    step = _find_object(text)
    thought = storable(str(step.get("thought") or ""))
    action = step.get("action")
    if isinstance(action, dict) and isinstance(action.get("tool"), str):
        return thought, (RequestedCall.read(action["tool"], action.get("input")),)
    if step.get("is_final"):
        return (storable(action) if isinstance(action, str) else thought), ()
    message = 'Your last reply has no "action" with a "tool", and "is_final" is not true.'
    raise NotAStep(message)


def json_messages(exchanges: Sequence[Exchange]) -> list[ChatMessage]:
    """Messages of the chat-completions API without tool calls: results come from the user."""
    messages: list[ChatMessage] = []
    calls: Sequence[dict[str, Any]] = ()
    for exchange in exchanges:
        results = {entry.call: entry for entry in exchange.entries if entry.kind == "result"}
        texts = [_result(call, results.get(call["id"])) for call in calls]
        texts += [shown_text(entry) for entry in exchange.entries if entry.kind != "result"]
        if texts:
            messages.append({"role": "user", "content": "\n\n".join(texts)})
        if exchange.turn is not None:
            messages.append({"role": "assistant", "content": _step(exchange.turn)})
            calls = exchange.turn.calls
    return messages


def _result(call: dict[str, Any], result: StoredEntry | None) -> str:
    return f"Result of {call['tool']}:\n{result_text(call, result)}"


def _step(turn: Turn) -> str:
    if not turn.calls:
        return json.dumps({"thought": turn.thought, "action": None, "is_final": not turn.problem})
    call = turn.calls[0]
    try:
        arguments = json.loads(call["arguments"])
    except ValueError:
        arguments = {}
    action = {"tool": call["tool"], "input": arguments}
    return json.dumps(
        {"thought": turn.thought, "action": action, "is_final": call["tool"] == FINISH}
    )


def _find_object(text: str) -> dict[str, Any]:
    start = text.find("{")
    if start < 0:
        message = "Your last reply is not a JSON object. Reply with one JSON step and nothing else."
        raise NotAStep(message)
    try:
        step, _end = json.JSONDecoder(strict=False).raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        message = f"Your last reply is not valid JSON ({error}). Reply with one JSON step."
        raise NotAStep(message) from error
    return dict(step)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _moved(parameters: dict[str, Any], action: int) -> Any:
    """A tool's parameters, whose references hold where they stand in the step's schema."""
    place = f"#/properties/action/anyOf/{action}/properties/input"
    return with_references(parameters, lambda to: place + to[1:] if to.startswith("#") else to)
