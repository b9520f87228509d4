"""The control tools: carried out by the workflow itself, never as activities."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from jsonschema.exceptions import ValidationError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from perdure import contracts
from perdure.errors import PerdureError, ToolError
from perdure.tools.arguments import QUOTED, parse
from perdure.tools.references import with_references

CONTROL_NAMES = frozenset(
    {
        contracts.FINISH,
        contracts.WAIT,
        contracts.DELEGATE,
        *contracts.MEMBERS_TOOLS,
        *contracts.LEADS_TOOLS,
    }
)

LONGEST_WAIT = 30 * 24 * 3600
_PROBLEMS = 5
"""So many things wrong with one call are told at once."""


@dataclass(frozen=True, slots=True)
class ControlTool:
    """A tool that the workflow carries out; its arguments are plain JSON."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments, as a model is told it."""
    bounds: dict[str, Any] | None = None
    """A stricter one that the arguments must fit, with bounds that models' servers cannot take."""

    def check(self, arguments: str) -> dict[str, Any]:
        """The arguments in the model's JSON text.

        Raises:
            ToolError: names the JSON path of each value that does not fit, and why.
        """
        values = parse(self.name, arguments)
        # Its own registry: the default one would fetch unknown references from the network.
        validator = Draft202012Validator(self.bounds or self.parameters, registry=Registry())
        problems = [_explain(error) for error in validator.iter_errors(values)]
        if problems:
            told = "; ".join(problems[:_PROBLEMS])
            accepted = ", ".join(self.parameters["properties"])
            raise ToolError(f"{self.name} takes {accepted}, and its arguments do not fit: {told}.")
        return values


def finish_tool(output_schema: dict[str, Any] | None) -> ControlTool:
    """The tool that ends the run: with a text, or with an output that fits `output_schema`.

    Raises:
        PerdureError: `output_schema` is not a valid JSON Schema (draft 2020-12).
    """
    if output_schema is None:
        answer = {"type": "string", "description": "The complete answer."}
        parameters = arguments_schema({"answer": answer}, required=["answer"])
        return ControlTool(contracts.FINISH, "End the task with its answer.", parameters)
    _check_schema(output_schema)
    output = with_references(
        {key: value for key, value in output_schema.items() if key not in {"$schema", "$id"}},
        _moved_reference,
    )
    definitions = output.pop("$defs", None)
    parameters = arguments_schema({"output": output}, required=["output"])
    if definitions:
        parameters["$defs"] = definitions
    _check_references(parameters)
    return ControlTool(contracts.FINISH, "End the task with its output.", parameters)


def arguments_schema(properties: dict[str, Any], *, required: Sequence[str]) -> dict[str, Any]:
    """Of an object with these properties and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


SECONDS = {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_WAIT}

WAIT = ControlTool(
    contracts.WAIT,
    "Pause the run, for up to 30 days.",
    arguments_schema({"seconds": SECONDS, "reason": {"type": "string"}}, required=["seconds"]),
)


def _explain(error: ValidationError) -> str:
    """The most telling part of `error`, with its place; of anyOf, the branch that came closest."""
    closest = best_match([error]) or error
    return f"at {closest.json_path} {_cut(closest.message)}"


def _cut(message: str) -> str:
    """`message` without the middle, where it repeats a long value."""
    return message if len(message) <= 2 * QUOTED else f"{message[:QUOTED]} … {message[-QUOTED:]}"


def _check_schema(schema: dict[str, Any]) -> None:
    try:
        # With formats: a `pattern` that is no regular expression is found here, not in a run.
        Draft202012Validator.check_schema(
            schema, format_checker=Draft202012Validator.FORMAT_CHECKER
        )
    except SchemaError as error:
        raise PerdureError(
            f"The output schema is not a valid JSON Schema (draft 2020-12): "
            f"at {error.json_path} {_cut(error.message)}."
        ) from error


def _check_references(parameters: dict[str, Any]) -> None:
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(parameters))
    for reference in _references(parameters):
        try:
            resolver.lookup(reference)
        except Unresolvable as error:
            raise PerdureError(
                f"The output schema refers to {reference!r}, which it does not contain; "
                "put the definition under its $defs."
            ) from error


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(reference := value.get("$ref"), str):
            yield reference
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _references(each)


def _moved_reference(reference: str) -> str:
    """Where a reference of the output schema leads once that stands under `output`."""
    # `$defs` is lifted to the top, where every model server looks for it; the rest moves down.
    if reference == "#" or (reference.startswith("#/") and not reference.startswith("#/$defs/")):
        return f"#/properties/output{reference[1:]}"
    return reference
