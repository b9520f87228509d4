"""How a function becomes a tool, and how its calls are checked and carried out."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from perdure.errors import ToolError
from perdure.sandbox.folder import Folder
from perdure.tools.tool import Replay, ToolContext, as_text, tool


class Address(BaseModel):
    """A nested argument with a property that is called as a schema keyword."""

    title: str
    city: str = "Bern"


@tool(replay="unsafe")
async def send(
    context: ToolContext, to: str, copies: int = 1, mode: Literal["fast", "slow"] = "fast"
) -> str:
    """Send a letter.

    It cannot be called back.

    Args:
        to: Who gets it.
        copies: How many
            of them.
    """
    return f"{context.run} {to} {copies} {mode}"


async def begin(_detail: dict[str, Any]) -> dict[str, Any] | None:
    return None


CONTEXT = ToolContext(run="r", key="k", sandbox=Folder(Path("w")), show=print, begin=begin)


def test_name_description_and_schema_come_from_the_function() -> None:
    """Nothing is in the schema that Pydantic made up, and no context."""
    assert send.name == "send"
    assert send.replay == "unsafe"
    assert send.description == "Send a letter.\n\nIt cannot be called back."
    assert send.parameters == {
        "type": "object",
        "properties": {
            "to": {"type": "string", "description": "Who gets it."},
            "copies": {"type": "integer", "default": 1, "description": "How many\nof them."},
            "mode": {"type": "string", "enum": ["fast", "slow"], "default": "fast"},
        },
        "required": ["to"],
        "additionalProperties": False,
    }


def test_only_made_up_titles_are_left_out() -> None:
    """A parameter, or a property, may be called title."""

    @tool(replay="safe")
    def file(title: str, address: Address) -> None:
        """File it."""

    assert set(file.parameters["properties"]) == {"title", "address"}
    assert file.parameters["$defs"]["Address"]["properties"] == {
        "title": {"type": "string"},
        "city": {"type": "string", "default": "Bern"},
    }


async def test_names_that_pydantic_uses_itself_are_ordinary_parameters() -> None:
    """A tool's author need not know how arguments are validated."""

    @tool(replay="safe")
    def odd(schema: str, model_config: int, _hidden: int = 3, copy: bool = False) -> list[object]:
        """Take odd names."""
        return [schema, model_config, _hidden, copy]

    assert list(odd.parameters["properties"]) == ["schema", "model_config", "_hidden", "copy"]
    arguments = odd.check('{"schema": "s", "model_config": 2}')
    assert await odd.call(CONTEXT, arguments) == '["s",2,3,false]'


def test_checked_arguments_have_the_annotated_types() -> None:
    """Defaults are filled in, numbers in quotes are numbers, nested objects are models."""

    @tool(replay="safe")
    def file(
        address: Address, size: Annotated[int, Field(ge=1)] = 5, note: str | None = None
    ) -> None:
        """File it."""

    checked = file.check('{"address": {"title": "Dr"}, "size": "7"}')
    assert checked == {"address": Address(title="Dr", city="Bern"), "size": 7, "note": None}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("{}", "Argument 'to' of send is missing."),
        (
            '{"to": "a", "copies": "many"}',
            (
                "Argument 'copies' of send is \"many\": Input should be a valid integer, "
                "unable to parse string as an integer."
            ),
        ),
        (
            '{"to": "a", "mode": "warp"}',
            "Argument 'mode' of send is \"warp\": Input should be 'fast' or 'slow'.",
        ),
        (
            '{"to": "a", "cc": "b"}',
            "send has no argument 'cc'; its arguments are: to, copies, mode.",
        ),
        (
            '{"cc": "b"}',
            (
                "Argument 'to' of send is missing. "
                "send has no argument 'cc'; its arguments are: to, copies, mode."
            ),
        ),
    ],
)
def test_wrong_arguments_are_named(arguments: str, sentence: str) -> None:
    """The sentence goes to the model, which then knows how to call."""
    with pytest.raises(ToolError) as refused:
        send.check(arguments)
    assert str(refused.value) == sentence


def test_the_path_of_a_nested_argument_is_named() -> None:
    """In a large object the model must know which part is wrong."""

    @tool(replay="safe")
    def file(addresses: list[Address]) -> None:
        """File them."""

    with pytest.raises(ToolError, match=r"'addresses\.1\.title' of file is missing"):
        file.check('{"addresses": [{"title": "a"}, {}]}')


async def test_the_context_is_filled_in() -> None:
    """The model neither gives the context nor can it."""
    assert await send.call(CONTEXT, send.check('{"to": "Ada"}')) == "r Ada 1 fast"
    with pytest.raises(ToolError, match="no argument 'context'"):
        send.check('{"to": "Ada", "context": {}}')


async def test_a_plain_function_runs_in_a_thread() -> None:
    """A slow tool must not hold up the worker's other activities."""

    @tool(replay="safe")
    def thread() -> str:
        """Name the thread."""
        return threading.current_thread().name

    assert await thread.call(CONTEXT, {}) != threading.current_thread().name


async def test_a_tools_error_passes_through() -> None:
    """Whoever called decides what becomes of it."""

    @tool(replay="safe")
    def fail() -> None:
        """Fail."""
        raise ToolError("No luck.")

    with pytest.raises(ToolError, match="No luck"):
        await fail.call(CONTEXT, {})


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("as it is", "as it is"),
        (None, "Done."),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (Address(title="Dr"), '{"title":"Dr","city":"Bern"}'),
        (Path("a/b"), '"a/b"'),
        (b"\xff", '"_w=="'),
        ("nul\0 and \udcff", "nul\\x00 and \\udcff"),
    ],
)
def test_results_become_text_that_can_be_stored(result: object, text: str) -> None:
    """Neither databases nor models take NUL characters or half characters."""
    assert as_text(result) == text


def no_docstring(a: int) -> None: ...


def only_arguments(a: int) -> None:
    """Args:
    a: A number.
    """


def only_described(a: int) -> None:
    """
    Args:
        a: A number.
    """  # noqa: D212 - what is tested


def no_annotation(a) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - what is tested
    """Lack an annotation."""


def any_number(*numbers: int) -> None:
    """Take any number."""


def by_position(a: int, /) -> None:
    """Take by position."""


def two_contexts(a: ToolContext, b: ToolContext) -> None:
    """Take two."""


def stranger(a: int) -> None:
    """Describe a stranger.

    Args:
        b: It is not there.
    """


def unresolved(a: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821 - what is tested
    """Name a type that does not exist."""


def not_json(a: Callable[[], None]) -> None:
    """Take what JSON cannot hold."""


def not_a_schema(a: threading.Thread) -> None:
    """Take what Pydantic does not know."""


def _private(a: int) -> None:
    """Have a name that some models refuse."""


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (no_docstring, "no_docstring has no docstring"),
        (only_arguments, "docstring of tool only_arguments cannot be read"),
        (only_described, "only_described has no docstring"),
        (no_annotation, "'a' of tool no_annotation has no annotation"),
        (any_number, r"'\*numbers: int' of tool any_number has no name"),
        (by_position, "'a: int' of tool by_position has no name"),
        (two_contexts, "more than one ToolContext: a, b"),
        (stranger, "describes b, which the model cannot fill in"),
        (unresolved, "cannot be resolved: name 'Nowhere' is not defined"),
        (not_json, "JSON cannot fill a parameter of tool not_json"),
        (not_a_schema, "JSON cannot fill a parameter of tool not_a_schema"),
        (_private, "'_private' cannot be a tool's name"),
    ],
)
def test_a_function_that_cannot_be_described_is_refused(
    function: Callable[..., Any], sentence: str
) -> None:
    """Its author learns so when the module is imported, not when a model calls."""
    with pytest.raises(TypeError, match=sentence):
        tool(replay="safe")(function)


def test_an_unknown_replay_policy_is_refused() -> None:
    """A misspelt policy must not become a tool that is run twice."""
    policy: Replay = "sfae"  # type: ignore[assignment]  # what is tested
    with pytest.raises(TypeError, match="replay='sfae' is unknown; it is one of safe"):
        tool(replay=policy)
