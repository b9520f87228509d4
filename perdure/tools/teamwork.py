"""The tools of a team's members: notes that all of them read, and each other's files."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from perdure.errors import ToolError
from perdure.store.tables import Note
from perdure.teams.handover import Handover
from perdure.teams.room import Room
from perdure.tools.tool import ToolContext, tool

MOST_CHARACTERS = 20_000
"""Of one note."""
_BEGINNING = 80

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Text = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)]
Version = Annotated[int, Field(ge=1)]


@tool(replay="idempotent", needs_team=True)
async def note(context: ToolContext, name: Name, text: Text, version: Version | None = None) -> str:
    """Write a note that the whole team can read, new or in place of an earlier version.

    Args:
        name: Such as api-design.
        text: The whole note.
        version: The one that it replaces; left out for a new note.
    """
    room = _room(context)
    written = await room.notes.write(
        room.team, name, text, author=room.member, base=version, key=context.key
    )
    return f"Wrote version {written.version} of the note '{name}'."


@tool(replay="safe", needs_team=True)
async def read_notes(context: ToolContext, name: Name | None = None) -> str:
    """Read one of the team's notes, or list them all."""
    room = _room(context)
    if name is None:
        return "\n".join(map(_row, await room.notes.all(room.team))) or "There are no notes yet."
    found = await room.notes.get(room.team, name)
    if found is None:
        raise ToolError(f"There is no note '{name}'; read_notes without a name lists all.")
    return f"[{name}, version {found.version}, by {found.author}]\n{found.text}"


@tool(replay="idempotent", needs_team=True)
async def take_files(
    context: ToolContext, member: str, paths: list[str] | None = None, folder: str | None = None
) -> str:
    """Copy a colleague's files into your workspace, as they were after its last step.

    Args:
        paths: Files and folders; left out for all.
        folder: Where they are put; left out for the same places as the colleague's.
    """
    room = _room(context)
    point = await room.files_of(member)
    newest = {"checkpoint": point.id, "at": point.created_at.isoformat()}
    # Another attempt takes the same state, whatever the colleague has done since.
    state = await context.begin(newest) or newest
    handover = Handover(await room.files.recorded(state["checkpoint"]), paths, folder)
    own = await room.files.entries(await room.files.last(room.run))
    await handover.write(room.files, context.sandbox, context.key)
    at = datetime.fromisoformat(state["at"])
    return f"{handover.told(own)} {member} left them so at {at:%H:%M:%S} UTC."


TOOLS = (note, read_notes, take_files)


def _room(context: ToolContext) -> Room:
    if context.room is None:
        raise ToolError("This run belongs to no team.")
    return context.room


def _row(each: Note) -> str:
    begins = " ".join(each.text[: 2 * _BEGINNING].split())[:_BEGINNING]
    return f"{each.name} · version {each.version} · {each.author} · {begins}"
