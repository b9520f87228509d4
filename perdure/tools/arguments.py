"""The arguments of a tool call: the model's own JSON text, read leniently into one object."""

import json
from math import isfinite
from typing import Any, NoReturn

from perdure.errors import ToolError

QUOTED = 120
"""Characters of a wrong value that a sentence repeats."""


def parse(tool: str, text: str) -> dict[str, Any]:
    """The object that `text` holds; nothing at all is no arguments, and an object may be quoted."""
    value = _decode(tool, text)
    if isinstance(value, str):
        value = _decode(tool, value)  # some models encode the object a second time
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ToolError(
            f"The arguments of {tool} must be one JSON object, but they are {quote(value)}."
        )
    return value


def quote(value: object) -> str:
    """`value` as JSON, cut to what a sentence can hold."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}… ({len(text)} characters)"


def _decode(tool: str, text: str) -> Any:
    if not text.strip():
        return None
    try:
        # Not strict: many models write line breaks into strings without escaping them.
        value = json.loads(text, strict=False, parse_float=_finite, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ToolError(
            f"The arguments of {tool} hold half of a surrogate pair, which is no character; "
            "write the whole character."
        ) from None
    except RecursionError:
        raise ToolError(f"The arguments of {tool} are nested too deeply.") from None
    except ValueError as error:
        raise ToolError(
            f"The arguments of {tool} are not valid JSON: {error}. "
            f"They are {quote(text)}; send one JSON object."
        ) from None
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text} is out of range")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
