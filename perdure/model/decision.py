"""What a stored turn means for the workflow: small enough for its history."""

from typing import Any

from perdure.contracts import FINISH, AgentSpec, Call, Decision, Usage
from perdure.model.window import clip
from perdure.store.tables import Turn, digest
from perdure.tools.arguments import parse
from perdure.tools.control import CONTROL_NAMES

ANSWER_CHARACTERS = 64_000
_THOUGHT_CHARACTERS = 120
_SUMMARY_CHARACTERS = 60

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
    is_control = call["tool"] in CONTROL_NAMES and arguments is not None
    return Call(
        id=call["id"],
        tool=call["tool"],
        summary=_summary(call["tool"], arguments),
        arguments=_clipped(arguments) if is_control and arguments is not None else None,
        digest=digest(call["tool"], call["arguments"]),
        problem=call["problem"],
    )


def _clipped(arguments: dict[str, Any]) -> dict[str, Any]:
    if isinstance(arguments.get("answer"), str):
        return arguments | {"answer": clip(arguments["answer"], ANSWER_CHARACTERS)}
    return arguments


def _summary(tool: str, arguments: dict[str, Any] | None) -> str:
    """Such as `execute_shell: pytest -q`: the tool and the beginning of its first argument."""
    first = str(next(iter((arguments or {}).values()), ""))
    words = " ".join(first.split())[:_SUMMARY_CHARACTERS]
    return f"{tool}: {words}" if words else tool
