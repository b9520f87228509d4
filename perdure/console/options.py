"""What the options of a command mean, and what is wrong with them."""

import json
import re
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

import typer
from pydantic import ValidationError

from perdure.agents import Agents
from perdure.console.display import preview
from perdure.console.standing import CUT_SHORT, LOST, SUSPENDED
from perdure.contracts import AgentRequest, AgentSpec, Message, PublicContract, RunStatus
from perdure.errors import PerdureError, StoreError, UnknownAgent, WorkspaceError
from perdure.settings import Settings
from perdure.store.reader import reading
from perdure.teams.contracts import Supervision, TeamRequest

Input = TypeVar("Input", bound=PublicContract)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LONGEST_NEW, _LONGEST = 100, 250
"""Characters: a run that another one starts adds to its parent's id."""
AGENT, TEAM = "agent-", "team-"
"""What the ids of runs begin with, and those of teams."""


def new_id(text: str | None, prefix: str) -> str:
    """The id of a run or of a team that is to be started; a random one by default."""
    if text is None:
        return f"{prefix}{token_hex(4)}"
    _check_id(text, _LONGEST_NEW)
    found = text if text.startswith((AGENT, TEAM)) else f"{prefix}{text}"
    if not found.startswith(prefix):
        message = f"Run id '{text}' must begin with '{prefix}' here. Leave its prefix out."
        raise typer.BadParameter(message)
    if prefix == TEAM and "." in found:
        message = f"Run id '{text}' cannot be a team's: after a '.' come its members' runs."
        raise typer.BadParameter(message)
    return found


async def run_id(settings: Settings, text: str) -> str:
    """The id of the run, or of the team, that is meant: its prefix may be left out."""
    _check_id(text, _LONGEST)
    if text.startswith((AGENT, TEAM)):
        return text
    meant = (f"{AGENT}{text}", f"{TEAM}{text}", text)
    known: set[str] = set()
    with suppress(StoreError):  # whoever speaks to a run does without the store
        async with reading(settings) as store:
            known = await store.known(meant)
    return next((each for each in meant if each in known), meant[0])


def _check_id(text: str, longest: int) -> None:
    if not _ID.fullmatch(text) or len(text) > longest:
        message = (
            f"Run id {text!r} cannot be used: it must begin with a letter or digit, hold only"
            f" letters, digits, '.', '_' and '-', and have at most {longest} of them."
        )
        raise typer.BadParameter(message)


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
    known = [*RunStatus, SUSPENDED, LOST, *CUT_SHORT]
    if text is not None and text not in known:
        message = f"Status '{text}' is unknown. A run is {', '.join(known)}."
        raise typer.BadParameter(message)
    return text


def message(text: str) -> Message:
    return _valid(Message, text=text)


def request(**fields: Any) -> AgentRequest:
    return _valid(AgentRequest, **fields)


def team_request(**fields: Any) -> TeamRequest:
    return _valid(TeamRequest, **fields)


def supervision(**fields: Any) -> Supervision:
    return _valid(Supervision, **fields)


def limits(
    steps: int | None, tokens: int | None, cost: float | None, minutes: float | None
) -> dict[str, Any]:
    """As a request has them, which checks them."""
    return {
        "max_steps": steps,
        "max_tokens": tokens,
        "max_cost_usd": cost,
        "max_minutes": minutes,
    }


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
