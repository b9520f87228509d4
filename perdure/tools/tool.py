"""A tool: an annotated function with a docstring, which together say what a model may call."""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import docstring_parser
from docstring_parser import Docstring, DocstringStyle, ParseError
from pydantic_core import to_json

from perdure.plain_text import storable
from perdure.sandbox.sandbox import Sandbox
from perdure.teams.room import Room
from perdure.tools.arguments import parse
from perdure.tools.signature import Signature

Replay = Literal["safe", "idempotent", "unsafe"]
"""May a call whose outcome is unknown be repeated: always, under its key, or never."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool is told about the call that it carries out."""

    run: str
    key: str
    """Names this call; the same on every attempt."""
    sandbox: Sandbox
    show: Callable[[bytes], None]
    """Takes output while it is being printed, for those who watch."""
    begin: Callable[[dict[str, Any]], Awaitable[dict[str, Any] | None]]
    """Records durably, before an effect, that this call has begun, with a detail of one's own;
    returns the detail that an earlier attempt recorded, None if this is the first."""
    room: Room | None = None
    """What the run reaches of its team; None outside of one."""


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """Something that a model may call; made by the decorator `tool`."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments."""
    replay: Replay
    executes: bool
    """Does it run commands, which have to be isolated?"""
    function: Callable[..., Any]
    signature: Signature
    needs_team: bool = False
    """Is it only for members of a team?"""

    def check(self, arguments: str) -> dict[str, Any]:
        """The arguments in the model's JSON text, as the function takes them.

        Raises:
            ToolError: names the argument, its value and what was expected.
        """
        return self.signature.check(parse(self.name, arguments))

    async def call(self, context: ToolContext, arguments: dict[str, Any]) -> str:
        """Carry out the call with `arguments` from `check`; a plain function runs in a thread."""
        injected = self.signature.injected
        given = arguments if injected is None else arguments | {injected: context}
        if inspect.iscoroutinefunction(self.function):
            return as_text(await self.function(**given))
        return as_text(await asyncio.to_thread(self.function, **given))


def tool(
    *, replay: Replay, executes: bool = False, needs_team: bool = False
) -> Callable[[Callable[..., Any]], Tool]:
    """Make a `Tool` of an annotated function with a docstring.

    The description of each parameter is taken from the docstring's `Args:` (Google style); a
    parameter annotated `ToolContext` is filled in by the worker and the model never sees it.

    Raises:
        TypeError: at decoration, when the function cannot be described to a model.
    """
    known = get_args(Replay)
    if replay not in known:
        raise TypeError(f"replay={replay!r} is unknown; it is one of {', '.join(known)}.")

    def decorate(function: Callable[..., Any]) -> Tool:
        name = _name(function)
        docstring = _docstring(name, function)
        description = (docstring.description or "").strip()
        signature = Signature.of(name, function, docstring, injected=ToolContext)
        return Tool(
            name=name,
            description=description,
            parameters=signature.parameters,
            replay=replay,
            executes=executes,
            function=function,
            signature=signature,
            needs_team=needs_team,
        )

    return decorate


def as_text(result: object) -> str:
    """A tool's result as text that every store and every model can carry."""
    if result is None:
        return "Done."
    return storable(result if isinstance(result, str) else _json(result))


def _json(result: object) -> str:
    return to_json(result, fallback=str, bytes_mode="base64").decode()


def _docstring(name: str, function: Callable[..., Any]) -> Docstring:
    try:
        docstring = docstring_parser.parse(function.__doc__ or "", style=DocstringStyle.GOOGLE)
    except ParseError as error:
        raise TypeError(f"The docstring of tool {name} cannot be read: {error}.") from error
    if not docstring.description:
        raise TypeError(
            f"Tool {name} has no docstring; the model chooses a tool by its description."
        )
    return docstring


def _name(function: Callable[..., Any]) -> str:
    name: str = function.__name__
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]{0,63}", name):
        raise TypeError(
            f"{name!r} cannot be a tool's name: models take a letter, then up to 63 ASCII "
            "letters, digits and _."
        )
    return name
