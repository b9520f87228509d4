"""The files `.mcp.json`: which MCP servers there are, and how each is reached."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from perdure.errors import PerdureError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class _Server(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    timeout: float = Field(default=60.0, gt=0, le=3600)
    """Seconds that one call may take."""


class Program(_Server):
    """A server that is started here, and spoken to through its standard input and output."""

    type: Literal["stdio"] = "stdio"
    command: str = Field(min_length=1)
    args: list[str] = []
    env: dict[str, str] = {}
    """All that it has beside PATH, HOME and the like: no other variable of the worker's."""


class Endpoint(_Server):
    """A server that is reached by streamable HTTP."""

    type: Literal["http", "streamable-http"] = "http"
    url: str = Field(pattern=r"^https?://[^/\s]+")
    headers: dict[str, str] = {}


def read_servers(
    files: Sequence[Path], environment: Mapping[str, str]
) -> dict[str, Program | Endpoint]:
    """The servers that the files name; of two with one name the later file's is taken.

    `${NAME}` and `${NAME:-default}` in any value stand for a variable of `environment`.

    Raises:
        PerdureError: a file says something that cannot be used.
    """
    servers: dict[str, Program | Endpoint] = {}
    for file in files:
        for name, entry in _entries(file).items():
            servers[name] = _server(f"Server '{name}' in {file}", entry, environment)
    return servers


def _entries(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise PerdureError(
            f"{file} cannot be read: {error.strerror}. Check its permissions, or remove it."
        ) from error
    except (ValueError, RecursionError) as error:  # not JSON, or not UTF-8
        raise PerdureError(
            f"{file} is not valid JSON: {error}. Correct it, or remove it."
        ) from error
    servers = content.get("mcpServers") if isinstance(content, dict) else None
    if not isinstance(servers, dict):
        raise PerdureError(
            f'{file} must be an object with "mcpServers", an object of servers by name.'
        )
    if strangers := content.keys() - {"mcpServers"}:
        raise PerdureError(
            f"{file} has the unknown field '{min(strangers)}' beside mcpServers; take it out."
        )
    return servers


def _server(what: str, entry: Any, environment: Mapping[str, str]) -> Program | Endpoint:
    if not isinstance(entry, dict):
        raise PerdureError(f'{what} must be an object with a "command" or a "url".')
    kind = _kind(what, entry)
    try:
        return kind.model_validate(_expanded(what, entry, environment))
    except ValidationError as error:
        # Without the values: they may be keys.
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
        )
        known = ", ".join(kind.model_fields)
        raise PerdureError(
            f"{what} says something wrong: {problems}. Its fields may be: {known}."
        ) from None


def _kind(what: str, entry: dict[str, Any]) -> type[Program | Endpoint]:
    if "command" in entry and "url" in entry:
        raise PerdureError(f"{what} has both a command and a url; take one of them out.")
    if entry.get("type") == "sse":
        raise PerdureError(
            f"{what} is of type 'sse', which is out of use; ask its maker for the url of its"
            " streamable HTTP, and write type 'http'."
        )
    if "command" in entry:
        return Program
    if "url" in entry:
        return Endpoint
    raise PerdureError(
        f'{what} has neither a "command" that starts it nor a "url" that leads to it; add one.'
    )


def _expanded(what: str, value: Any, environment: Mapping[str, str]) -> Any:
    """`value` with the variables in its strings filled in."""

    def fill(match: re.Match[str]) -> str:
        name, default = match.groups()
        if default is not None:
            return environment.get(name) or default
        if name not in environment:
            raise PerdureError(
                f"{what} refers to the variable {name}, which is not set. Set it where the worker"
                f" starts, or write ${{{name}:-default}}."
            )
        return environment[name]

    if isinstance(value, str):
        return _VARIABLE.sub(fill, value)
    if isinstance(value, list):
        return [_expanded(what, each, environment) for each in value]
    if isinstance(value, dict):
        return {key: _expanded(what, each, environment) for key, each in value.items()}
    return value
