"""References inside a JSON Schema that becomes a part of another one."""

from collections.abc import Callable
from typing import Any


def with_references(schema: Any, move: Callable[[str], str]) -> Any:
    """`schema` with every `$ref` replaced by what `move` makes of it."""
    if isinstance(schema, list):
        return [with_references(each, move) for each in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {key: with_references(each, move) for key, each in schema.items()}
    if isinstance(reference := schema.get("$ref"), str):
        moved["$ref"] = move(reference)
    return moved
