"""The file tools: what an agent does with the files of its workspace."""

import sys
import time
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from perdure.errors import ToolError
from perdure.sandbox.inside.walk import DEEPEST
from perdure.tools.tool import ToolContext, tool

_PATIENCE = 3.0
"""Seconds in which an edit gives way to others of the same file. No other attempt can be making it
meanwhile: one begins when this one has not heartbeated for longer than that."""

Lines = Annotated[int, Field(ge=1), AfterValidator(lambda lines: min(lines, sys.maxsize))]
Text = Annotated[str, Field(min_length=1)]
Depth = Annotated[int, Field(ge=1, le=DEEPEST)]


@tool(replay="safe")
async def read_file(context: ToolContext, path: str, offset: Lines = 1, limit: Lines = 500) -> str:
    """Read a text file, or some of its lines.

    Args:
        offset: First line.
        limit: Number of lines.
    """
    return str(await _asked(context, "read_file", path=path, offset=offset, limit=limit))


@tool(replay="idempotent")
async def write_file(context: ToolContext, path: str, content: str) -> str:
    """Write a whole file, new or in place of the old one."""
    request = {"path": path, "key": context.key}
    await context.sandbox.operate("write_file", request, content.encode())
    return f"Wrote {len(content)} characters to {path}."


@tool(replay="idempotent")
async def edit_file(
    context: ToolContext, path: str, old: Text, new: str, replace_all: bool = False
) -> str:
    """Replace a piece of text in a file.

    Args:
        old: Exact text; occurs once, unless replace_all.
    """
    edit = {"path": path, "old": old, "new": new, "replace_all": replace_all}
    plan = await _asked(context, "plan_edit", **edit)
    earlier = await context.begin({key: plan[key] for key in ("before", "after", "count")})
    if earlier is not None and earlier["after"] == plan["before"]:
        return _edited(path, earlier["count"])  # an earlier attempt came that far
    if earlier is not None and earlier["before"] != plan["before"]:
        raise _unknown(path)
    deadline = time.monotonic() + (_PATIENCE if earlier is None else 0)
    while not plan.get("made"):
        if plan["problem"]:
            raise ToolError(plan["problem"])
        before = plan["before"]
        plan = await _asked(context, "edit_file", **edit, before=before, key=context.key)
        if not plan["made"] and time.monotonic() >= deadline:
            raise _unknown(path)
    return _edited(path, plan["count"])


def _edited(path: str, count: int) -> str:
    return f"Replaced {count} occurrence{'s' * (count != 1)} in {path}."


def _unknown(path: str) -> ToolError:
    return ToolError(
        f"{path!r} has changed since this edit was first tried, and it is unknown "
        "whether the edit was made. Read the file, then decide."
    )


@tool(replay="safe")
async def list_files(
    context: ToolContext, path: str = ".", pattern: str = "*", depth: Depth = 3
) -> str:
    """List the files and folders of the workspace.

    Args:
        pattern: Glob, such as *.py or src/**/*.py.
        depth: Levels of folders.
    """
    return str(await _asked(context, "list_files", path=path, pattern=pattern, depth=depth))


@tool(replay="safe")
async def search_files(
    context: ToolContext, pattern: Text, path: str = ".", glob: str = "*"
) -> str:
    """Search files for lines that match a regular expression.

    Args:
        glob: Which files, such as *.py.
    """
    return str(await _asked(context, "search_files", pattern=pattern, path=path, glob=glob))


async def _asked(context: ToolContext, operation: str, **arguments: Any) -> Any:
    value, _ = await context.sandbox.operate(operation, arguments)
    return value


TOOLS = (read_file, write_file, edit_file, list_files, search_files)
