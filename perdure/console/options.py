"""What the options of a command mean, and what is wrong with them."""

import json
import re
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

import typer
from pydantic import ValidationError

from perdure.agents import Agents
from perdure.console.display import preview
from perdure.console.standing import LOST, SUSPENDED
from perdure.contracts import AgentRequest, AgentSpec, Message, PublicContract, RunStatus
from perdure.errors import PerdureError, UnknownAgent, WorkspaceError

Input = TypeVar("Input", bound=PublicContract)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PREFIXES = ("agent-", "team-")


def run_id(text: str | None) -> str:
    """The workflow's id: with its prefix, or a random one."""
    if text is None:
        return f"agent-{token_hex(4)}"
    if not _ID.fullmatch(text):
        message = (
            f"Run id {text!r} cannot be used: it must begin with a letter or digit, hold only"
            " letters, digits, '.', '_' and '-', and have at most 100 of them."
        )
        raise typer.BadParameter(message)
    return text if text.startswith(_PREFIXES) else f"agent-{text}"


def agent_spec(agents: Agents, name: str, *, elsewhere: bool) -> AgentSpec | str:
    """The agent as it is defined here; a name that only workers `elsewhere` may know, as it is."""
    try:
        return agents.load(name)
    except UnknownAgent:
        if elsewhere and not name.endswith(".md"):
            return name
        raise


def status(text: str | None) -> str | None:
    """A status that runs are listed by."""
    known = [*RunStatus, SUSPENDED, LOST]
    if text is not None and text not in known:
        message = f"Status '{text}' is unknown. A run is {', '.join(known)}."
        raise typer.BadParameter(message)
    return text


def message(text: str) -> Message:
    return _valid(Message, text=text)


def request(**fields: Any) -> AgentRequest:
    return _valid(AgentRequest, **fields)


def _valid(kind: type[Input], **fields: Any) -> Input:
    try:
        return kind(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = "-".join(str(part) for part in first["loc"] if part != "limits")
        message = f"{field} cannot be {preview(repr(first['input']))}: {first['msg']}."
        raise typer.BadParameter(message) from None


def workspace(text: str | None) -> str | None:
    """The folder's absolute path; its files are copied by the worker."""
    if text is None:
        return None
    folder = directory(text, "--workspace")
    try:
        if not folder.is_dir():
            what = "is not a directory" if folder.exists() else "does not exist"
            raise WorkspaceError(f"--workspace '{folder}' {what}. Name a directory.")
    except OSError as error:
        message = f"--workspace '{folder}' cannot be used: {error.strerror}. Name another one."
        raise WorkspaceError(message) from None
    return str(folder.resolve())


def directory(text: str, parameter: str) -> Path:
    """The path as it is: an empty one would be taken for the current directory."""
    if not text:
        message = f"{parameter} '' names no directory. An unset variable? Use . for this one."
        raise WorkspaceError(message)
    return Path(text)


def output_schema(file: Path | None) -> Any:
    if file is None:
        return None
    from perdure.tools.control import finish_tool  # loads what only this option needs

    try:
        schema = json.loads(file.read_text())
        finish_tool(schema)
    except PerdureError as error:
        raise typer.BadParameter(f"--output-schema '{file}': {error}") from None
    except OSError as error:
        message = f"--output-schema '{file}' cannot be read: {error.strerror}. Name a JSON file."
        raise typer.BadParameter(message) from None
    except ValueError as error:
        message = f"--output-schema '{file}' is not JSON: {error}."
        raise typer.BadParameter(message) from None
    return schema
