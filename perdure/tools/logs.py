"""The tool that reads the end of a log."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import regex
from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode, SettingsConfigDict

from perdure.errors import ToolError
from perdure.settings import Environment
from perdure.tools.log_sources import end_of_container, end_of_file
from perdure.tools.quotation import PAGE, quote, visible
from perdure.tools.tool import ToolContext, tool

CONTAINER = "container:"
SEEN = 5_000
"""Lines at the end of a log among which a pattern is sought."""
_SECONDS = 3.0
_LONGEST = 2_000

Lines = Annotated[int, Field(ge=1, le=SEEN)]


def _split(separator: str) -> BeforeValidator:
    return BeforeValidator(lambda text: tuple(filter(None, map(str.strip, text.split(separator)))))


class LogSettings(Environment):
    """Which logs beside those of the workspace agents may read; read anew for each call."""

    model_config = SettingsConfigDict(validate_default=False)  # they are no text to be split

    log_paths: Annotated[tuple[Path, ...], NoDecode, _split(":")] = ()
    """Files and folders of this machine."""
    log_containers: Annotated[tuple[str, ...], NoDecode, _split(",")] = ()
    """Globs of containers' names."""


@tool(replay="safe")
async def read_logs(
    context: ToolContext, source: str, lines: Lines = 100, pattern: str | None = None
) -> str:
    """Read the last lines of a log.

    Args:
        source: Path in the workspace, absolute path, or container:NAME.
        pattern: Only lines with this text or regular expression.
    """
    rows = (await _end(context, source, SEEN if pattern else lines)).splitlines()
    if pattern:
        seen, rows = len(rows), await asyncio.to_thread(_fitting, rows, pattern)
        if not rows:
            return f"[None of the last {seen} lines of {source} holds {pattern!r}.]"
    shown = _page(rows[-lines:])
    return quote(f"the end of {source}", "\n".join(shown)) if shown else f"[{source} is empty.]"


async def _end(context: ToolContext, source: str, lines: int) -> str:
    settings = LogSettings.load()
    if source.startswith(CONTAINER):
        name = source.removeprefix(CONTAINER)
        return await asyncio.to_thread(end_of_container, name, settings.log_containers, lines)
    if source.startswith("/"):
        return await asyncio.to_thread(end_of_file, source, settings.log_paths)
    text, _ = await context.sandbox.operate("tail_file", {"path": source, "lines": lines})
    return str(text)


def _fitting(rows: list[str], pattern: str) -> list[str]:
    try:
        expression = regex.compile(pattern)
    except (regex.error, RecursionError):
        expression = regex.compile(regex.escape(pattern))  # «f(» is meant as it stands
    deadline = time.monotonic() + _SECONDS
    try:
        # It keeps time inside a match, as `re` cannot.
        return [
            row
            for row in rows
            if expression.search(row, timeout=max(0.001, deadline - time.monotonic()))
        ]
    except TimeoutError:
        raise ToolError(
            f"Pattern {pattern!r} takes more than {_SECONDS:g} seconds; use a simpler one."
        ) from None


def _page(rows: list[str]) -> list[str]:
    """As many of the last rows as fit on a page."""
    shown: list[str] = []
    left = PAGE
    for row in reversed(rows):
        line = visible(row)[:_LONGEST]
        left -= len(line) + 1
        if left < 0:
            break
        shown.insert(0, line)
    return shown


TOOLS = (read_logs,)
