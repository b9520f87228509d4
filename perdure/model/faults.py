"""What is wrong with the calls of a reply, in words for the model."""

from collections.abc import Iterable, Mapping
from typing import Any

from perdure.contracts import FINISH
from perdure.errors import ToolError
from perdure.model.reply import RequestedCall
from perdure.model.window import clip
from perdure.tools.control import CONTROL_NAMES
from perdure.tools.registry import Offer

_FAULT_CHARACTERS = 1_000
_LONGEST_CONTROL_ARGUMENTS = 200_000
"""Of all in one reply: they cross the workflow's history, which is no place for megabytes."""


def checked(calls: Iterable[RequestedCall], offered: Mapping[str, Offer]) -> list[dict[str, Any]]:
    """Calls as their turn keeps them, each with what is wrong with it."""
    kept, control = [], 0
    for call in calls:
        if call.tool in CONTROL_NAMES:
            control += len(call.arguments)
        fault = _find_fault(call, offered, control)
        kept.append(
            {
                "id": call.id,
                "tool": call.tool,
                "arguments": call.arguments,
                "problem": clip(fault, _FAULT_CHARACTERS) if fault else None,
            }
        )
    return kept


def _find_fault(call: RequestedCall, offered: Mapping[str, Offer], control: int) -> str | None:
    """`control` counts the characters of control tools' arguments, this call's included."""
    if call.tool not in offered:
        return f"Tool '{call.tool}' is unknown. The tools are: {', '.join(offered)}."
    if call.tool in CONTROL_NAMES and control > _LONGEST_CONTROL_ARGUMENTS:
        return _too_long(call.tool, control)
    try:
        offered[call.tool].check(call.arguments)
    except ToolError as error:
        return str(error)
    return None


def _too_long(tool: str, characters: int) -> str:
    end = "Write them to a file and finish with its path." if tool == FINISH else "Do less at once."
    return (
        f"The arguments of {tool}, with those of such calls before it in the reply, have"
        f" {characters:,} characters, more than {_LONGEST_CONTROL_ARGUMENTS:,}. {end}"
    )
