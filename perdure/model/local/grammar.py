"""Grammars that hold a model to JSON of one schema, for llama.cpp's LLGuidance."""

import json
from typing import Any

LONGEST_STRING = 200
"""Characters; a small model that need not close a string often never does."""
LONGEST_LIST = 10

_KEPT = {
    *(
        "type",
        "enum",
        "const",
        "required",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
    ),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
# No spaces but these, so that what the model writes looks like `json.dumps` in its examples.
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_DEFINITION = "#/$defs/"

Schema = dict[str, Any]


def grammar_of(schema: Schema) -> str:
    """The grammar of `schema`, which must be enforceable."""
    return "%llguidance {}\nstart: %json " + json.dumps(schema | {"x-guidance": _SPACING})


def enforceable(schema: Schema) -> Schema:
    """`schema` without what the engine refuses, closed, and with an end to every string and list.

    Titles, defaults, patterns and formats go: whoever receives the JSON still validates it.
    """
    return {**_bounded(schema, scope=""), **_definitions(schema, scope="")}


def step_schema(tools: dict[str, Schema], *, reply: bool) -> Schema:
    """One step: a call of one of `tools` (name to parameters) or, with `reply`, plain text.

    Required parameters only.
    """
    steps = [_call_schema(name, parameters) for name, parameters in tools.items()]
    if reply:
        steps.append(_closed({"reply": {"type": "string", "maxLength": 2 * LONGEST_STRING}}))
    definitions: Schema = {}
    for name, parameters in tools.items():
        definitions |= _definitions(parameters, scope=name).get("$defs", {})
    return {"anyOf": steps} | ({"$defs": definitions} if definitions else {})


def _call_schema(name: str, parameters: Schema) -> Schema:
    # No optional parameters: with a path for list_files, 15 of 20 reads succeed instead of 20.
    known = parameters.get("properties", {})
    required = {key: known.get(key, {}) for key in parameters.get("required", ())}
    arguments = {key: _bounded(value, scope=name) for key, value in required.items()}
    return _closed({"tool": {"const": name}, "arguments": _closed(arguments)})


def _closed(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _definitions(schema: Schema, *, scope: str) -> Schema:
    """The `$defs` of `schema`, renamed to stand beside those of other tools."""
    definitions = schema.get("$defs", {})
    named = {scope + name: _bounded(value, scope=scope) for name, value in definitions.items()}
    return {"$defs": named} if named else {}


def _bounded(schema: Any, *, scope: str) -> Any:
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key in _KEPT}
    if "properties" in schema:
        properties = schema["properties"].items()
        kept["properties"] = {name: _bounded(value, scope=scope) for name, value in properties}
        kept["additionalProperties"] = False
    for key in {"items", "additionalProperties"} & schema.keys():
        kept[key] = _bounded(schema[key], scope=scope)
    for key in {"anyOf", "oneOf"} & schema.keys():
        kept["anyOf"] = [_bounded(choice, scope=scope) for choice in schema[key]]
    if schema.get("$ref", "").startswith(_DEFINITION):
        kept["$ref"] = _DEFINITION + scope + schema["$ref"].removeprefix(_DEFINITION)
    return _with_ends(kept)


def _with_ends(schema: Schema) -> Schema:
    types = schema.get("type", ())
    types = {types} if isinstance(types, str) else set(types)
    if "string" in types and not {"enum", "const"} & schema.keys():
        schema["maxLength"] = min(schema.get("maxLength", LONGEST_STRING), LONGEST_STRING)
    if "array" in types:
        schema["maxItems"] = min(schema.get("maxItems", LONGEST_LIST), LONGEST_LIST)
    return schema
