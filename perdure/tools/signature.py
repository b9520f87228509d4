"""What a tool's function takes: told to a model as JSON Schema, and checked when it calls."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from docstring_parser import Docstring
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import ErrorDetails, PydanticUndefined

from perdure.errors import ToolError
from perdure.tools.arguments import quote

_FIELD = "argument_"
"""Keeps a parameter's name apart from the names that every Pydantic model has."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters that a model fills in, and the one that it never sees."""

    tool: str
    model: type[BaseModel]
    parameters: dict[str, Any]
    """JSON Schema of the arguments."""
    injected: str | None
    """The parameter that is filled in for the model."""

    @classmethod
    def of(
        cls, tool: str, function: Callable[..., Any], docstring: Docstring, *, injected: type
    ) -> "Signature":
        """Read `function`; a parameter annotated with the type `injected` is kept from the model.

        Raises:
            TypeError: a parameter cannot be described to a model.
        """
        parameters, name = _parameters(tool, function, injected)
        try:
            model = create_model(
                tool,
                __config__=ConfigDict(extra="forbid"),
                **_fields(tool, parameters, docstring),
            )
            schema = _without_titles(model.model_json_schema())
        except PydanticUserError as error:
            raise TypeError(f"JSON cannot fill a parameter of tool {tool}: {error}") from error
        return cls(tool, model, {"type": "object", "properties": {}} | schema, name)

    def check(self, values: dict[str, Any]) -> dict[str, Any]:
        """The arguments as the function takes them.

        Raises:
            ToolError: names the argument, its value and what was expected.
        """
        try:
            checked = self.model.model_validate(values)
        except ValidationError as error:
            raise ToolError(" ".join(map(self._explain, error.errors()))) from None
        return {field.removeprefix(_FIELD): value for field, value in checked}

    def _explain(self, error: ErrorDetails) -> str:
        path = ".".join(map(str, error["loc"]))
        if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
            accepted = ", ".join(self.parameters["properties"]) or "none"
            return f"{self.tool} has no argument '{path}'; its arguments are: {accepted}."
        if error["type"] == "missing":
            return f"Argument '{path}' of {self.tool} is missing."
        return f"Argument '{path}' of {self.tool} is {quote(error['input'])}: {error['msg']}."


def _parameters(
    tool: str, function: Callable[..., Any], injected: type
) -> tuple[list[inspect.Parameter], str | None]:
    """The parameters that the model fills in, and the name of the injected one."""
    try:
        found = inspect.signature(function, eval_str=True).parameters.values()
    except NameError as error:
        raise TypeError(f"An annotation of tool {tool} cannot be resolved: {error}.") from error
    names = [parameter.name for parameter in found if parameter.annotation is injected]
    if len(names) > 1:
        raise TypeError(f"Tool {tool} takes more than one {injected.__name__}: {', '.join(names)}.")
    filled = [_checked(tool, parameter) for parameter in found if parameter.name not in names]
    return filled, names[0] if names else None


def _checked(tool: str, parameter: inspect.Parameter) -> inspect.Parameter:
    if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
        raise TypeError(
            f"Parameter '{parameter}' of tool {tool} has no name that a model could fill in; "
            "use ordinary parameters."
        )
    if parameter.annotation is parameter.empty:
        raise TypeError(f"Parameter '{parameter.name}' of tool {tool} has no annotation.")
    return parameter


def _fields(tool: str, parameters: list[inspect.Parameter], docstring: Docstring) -> dict[str, Any]:
    described = {each.arg_name: each.description for each in docstring.params}
    if strangers := described.keys() - {parameter.name for parameter in parameters}:
        raise TypeError(
            f"The docstring of tool {tool} describes {', '.join(sorted(strangers))}, "
            "which the model cannot fill in."
        )
    return {
        _FIELD + parameter.name: (
            parameter.annotation,
            _field(parameter, described.get(parameter.name)),
        )
        for parameter in parameters
    }


def _field(parameter: inspect.Parameter, description: str | None) -> Any:
    default = PydanticUndefined if parameter.default is parameter.empty else parameter.default
    if description:
        return Field(default, alias=parameter.name, description=description)
    return Field(default, alias=parameter.name)  # keeps a description given by Annotated


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` without the titles that Pydantic makes up: every token is paid for on each step."""
    return {key: _untitled(key, value) for key, value in schema.items() if key != "title"}


def _untitled(key: str, value: Any) -> Any:
    if key in {"properties", "$defs"}:  # here the keys are names, and "title" is one like any
        return {name: _without_titles(schema) for name, schema in value.items()}
    if key in {"default", "const", "enum", "examples"}:
        return value
    if isinstance(value, list):
        return [_without_titles(each) if isinstance(each, dict) else each for each in value]
    return _without_titles(value) if isinstance(value, dict) else value
