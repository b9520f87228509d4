"""What a stored turn means for the workflow: small enough for its history."""

from typing import Any

from perdure.contracts import (
    ASSIGN,
    DELEGATE,
    FINISH,
    LEADS_TOOLS,
    SEND_MESSAGE,
    AgentSpec,
    Call,
    Decision,
    Usage,
)
from perdure.model.window import clip
from perdure.store.tables import Turn, digest
from perdure.tools.arguments import parse
from perdure.tools.control import CONTROL_NAMES

ANSWER_CHARACTERS = 64_000
_THOUGHT_CHARACTERS = 120
_SUMMARY_CHARACTERS = 60
_PREVIEW_CHARACTERS = 200
_POINTED_AT = {SEND_MESSAGE: "text", DELEGATE: "task"}

_FINISH_PLEASE = "End the task by calling finish with an output that fits its schema."


def decide(turn: Turn, spec: AgentSpec, *, closing: bool) -> Decision:
    """The same turn always gives the same decision, which is what makes a retry harmless."""
    text = turn.thought.strip()
    # Of a run's last words, even a reply that was cut off is better than none.
    problem = None if closing and text else turn.problem
    if not turn.calls and not problem and spec.output_schema and not closing:
        problem = _FINISH_PLEASE
    is_answer = not turn.calls and not problem
    return Decision(
        head=turn.id,
        thought=text[:_THOUGHT_CHARACTERS],
        calls=_calls(turn),
        answer=clip(text, ANSWER_CHARACTERS) if is_answer else None,
        problem=problem,
        usage=Usage(
            input_tokens=turn.input_tokens,
            output_tokens=turn.output_tokens,
            cost_usd=turn.cost_usd,
        ),
    )


def _calls(turn: Turn) -> tuple[Call, ...]:
    """Only control tools take their arguments along, and of several `finish` only the first."""
    calls = [_call(call) for call in turn.calls]
    endings = [call for call in calls if call.tool == FINISH and call.arguments is not None]
    surplus = {call.id for call in endings[1:]}
    return tuple(
        call.model_copy(update={"arguments": None}) if call.id in surplus else call
        for call in calls
    )


def _call(call: dict[str, Any]) -> Call:
    arguments = None if call["problem"] else parse(call["tool"], call["arguments"])
    is_control = call["tool"] in CONTROL_NAMES
    return Call(
        id=call["id"],
        tool=call["tool"],
        summary=_summary(call["tool"], arguments or {}),
        arguments=_carried(call["tool"], arguments)
        if is_control and arguments is not None
        else None,
        digest=digest(call["tool"], call["arguments"]),
        problem=call["problem"],
    )


def _carried(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What crosses the history: where that points to a text in the store, only its beginning."""
    if tool == ASSIGN:
        return arguments | {"tasks": [_previewed(each, "task") for each in arguments["tasks"]]}
    if tool in _POINTED_AT:
        return _previewed(arguments, _POINTED_AT[tool])
    if isinstance(arguments.get("answer"), str):
        return arguments | {"answer": clip(arguments["answer"], ANSWER_CHARACTERS)}
    return arguments


def _previewed(arguments: dict[str, Any], text: str) -> dict[str, Any]:
    return arguments | {text: " ".join(arguments[text].split())[:_PREVIEW_CHARACTERS]}


def _summary(tool: str, arguments: dict[str, Any]) -> str:
    """Such as `execute_shell: pytest -q`: the tool and what it is about."""
    words = " ".join(_about(tool, arguments).split())[:_SUMMARY_CHARACTERS]
    return f"{tool}: {words}" if words else tool


def _about(tool: str, arguments: dict[str, Any]) -> str:
    match arguments:
        case {"tasks": list(tasks)} if tool == ASSIGN:
            return f"{len(tasks)} task{'s' * (len(tasks) != 1)}"
        case {"tasks": list(ids)} if tool in LEADS_TOOLS:
            return ", ".join(ids)
        case {"to": str(name)} if tool == SEND_MESSAGE:
            return name
        case {"agent": str(name)} if tool == DELEGATE:
            return name
        case _:
            return str(next(iter(arguments.values()), ""))
