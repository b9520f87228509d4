"""The file tools: what an agent does with the files of its workspace."""

import asyncio
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path, PurePath
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from perdure.errors import ToolError
from perdure.tools.search import Search
from perdure.tools.text import (
    check_regular,
    check_size,
    decoded,
    explained,
    lines,
    opened,
    replace,
    whole,
)
from perdure.tools.tool import ToolContext, tool
from perdure.tools.tree import CLOSED, DEEPEST, Node, fits, walk

PAGE = 24_000
"""Characters of a file that one call shows, whatever number of lines it asks for."""
LISTED = 300
SEEN = 20_000
"""So many files and folders are looked at for one listing."""

Lines = Annotated[int, Field(ge=1), AfterValidator(lambda lines: min(lines, sys.maxsize))]
Text = Annotated[str, Field(min_length=1)]
Depth = Annotated[int, Field(ge=1, le=DEEPEST)]


@tool(replay="safe")
def read_file(context: ToolContext, path: str, offset: Lines = 1, limit: Lines = 500) -> str:
    """Read a text file, or some of its lines.

    Args:
        offset: First line.
        limit: Number of lines.
    """
    place = context.workspace.resolve(path)
    with explained("read", path), opened(place, path) as text:
        rows = lines(text)
        before = sum(1 for _ in islice(rows, offset - 1))
        shown = list(_page(islice(rows, limit)))
        more = sum(1 for _ in rows)
    if not shown:
        return f"[{path} has {before} lines.]" if before else f"[{path} is empty.]"
    body = "".join(shown)
    if not more:
        return body
    end = before + len(shown)
    return f"{body}[{more} more lines; read on with offset={end + 1}.]"


def _page(rows: Iterable[str]) -> Iterator[str]:
    """Rows until a page is full; the first in any case."""
    size = 0
    for row in rows:
        yield row
        size += len(row)
        if size >= PAGE:
            return


@tool(replay="idempotent")
async def write_file(context: ToolContext, path: str, content: str) -> str:
    """Write a whole file, new or in place of the old one."""
    place = context.workspace.resolve(path)
    async with context.workspace.alone():
        await asyncio.to_thread(_save, place, path, content.encode(), context.key)
    return f"Wrote {len(content)} characters to {path}."


def _save(place: Path, path: str, data: bytes, key: str) -> None:
    with explained("written", path):
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            check_regular(place, path)
        replace(place, data, key=key)


@tool(replay="idempotent")
async def edit_file(
    context: ToolContext, path: str, old: Text, new: str, replace_all: bool = False
) -> str:
    """Replace a piece of text in a file.

    Args:
        old: Exact text; occurs once, unless replace_all.
    """
    place = context.workspace.resolve(path)
    async with context.workspace.alone():
        before = await asyncio.to_thread(_taken, place, path)
        after, count = _replaced(decoded(before, path), old, new, path)
        problem = _problem(path, count, replace_all)
        detail: dict[str, Any] = {
            "before": _digest(before),
            "after": None if problem else _digest(after.encode()),
            "count": count,
        }
        earlier = await context.begin(detail) or detail
        if earlier["after"] == detail["before"]:
            return _edited(path, earlier["count"])  # an earlier attempt came that far
        if earlier["before"] != detail["before"]:
            raise ToolError(
                f"{path!r} has changed since this edit was first tried, and it is unknown "
                "whether the edit was made. Read the file, then decide."
            )
        if problem:
            raise ToolError(problem)
        await asyncio.to_thread(_save, place, path, after.encode(), context.key)
    return _edited(path, count)


def _taken(place: Path, path: str) -> bytes:
    with explained("edited", path):
        return whole(place, path)


def _replaced(text: str, old: str, new: str, path: str) -> tuple[str, int]:
    """The text after the edit, and how often `old` occurs in it before."""
    if old not in text and "\r\n" in text:  # models write plain line ends
        old, new = _windows(old), _windows(new)
    count = text.count(old)
    check_size(len(text) + count * (len(new) - len(old)), path)
    return text.replace(old, new), count


def _windows(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def _problem(path: str, count: int, replace_all: bool) -> str | None:
    if count == 0:
        return f"The text in 'old' does not occur in {path}; copy it exactly from read_file."
    if count > 1 and not replace_all:
        return (
            f"The text in 'old' occurs {count} times in {path}; "
            "take more lines around it, or set replace_all."
        )
    return None


def _edited(path: str, count: int) -> str:
    return f"Replaced {count} occurrence{'s' * (count != 1)} in {path}."


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()


@tool(replay="safe")
def list_files(context: ToolContext, path: str = ".", pattern: str = "*", depth: Depth = 3) -> str:
    """List the files and folders of the workspace.

    Args:
        pattern: Glob, such as *.py or src/**/*.py.
        depth: Levels of folders.
    """
    place = context.workspace.resolve(path)
    base = PurePath(context.workspace.name(place))
    with explained("listed", path):
        if place.is_file():
            raise ToolError(f"{path!r} is a file; read_file shows it.")
        nodes = list(islice(walk(place, depth), SEEN))
    fitting = [node for node in nodes if fits(node.path, pattern)]
    rows = [_row(base, node) for node in fitting[:LISTED]]
    return "\n".join([*rows, *_notes(nodes, fitting, depth)])


def _row(base: PurePath, node: Node) -> str:
    name = str(base / node.path)
    if node.is_folder:
        return f"{name}/ (not entered)" if node.entry.name in CLOSED else f"{name}/"
    if node.entry.is_symlink():
        return f"{name} (link)"
    return name if node.is_file else f"{name} (not a regular file)"


def _notes(nodes: list[Node], fitting: list[Node], depth: int) -> Iterator[str]:
    """What a listing does not show."""
    if not fitting:
        yield "[Nothing fits.]" if nodes else "[The folder is empty.]"
    if len(fitting) > LISTED:
        yield f"[{len(fitting) - LISTED} more; give a narrower path or pattern, or less depth.]"
    if len(nodes) == SEEN:
        yield f"[Only the first {SEEN} files and folders were looked at; give a narrower path.]"
    if deeper := sum(node.is_folder and node.depth == depth for node in nodes):
        yield f"[{deeper} folders at depth {depth} were not entered.]"


@tool(replay="safe")
def search_files(context: ToolContext, pattern: Text, path: str = ".", glob: str = "*") -> str:
    """Search files for lines that match a regular expression.

    Args:
        glob: Which files, such as *.py.
    """
    place = context.workspace.resolve(path)
    search = Search.of(pattern, context.workspace)
    with explained("searched", path):
        found = search.run(place, glob)
    return "\n".join(found) or f"[No line in {path} matches {pattern}.]"


TOOLS = (read_file, write_file, edit_file, list_files, search_files)
