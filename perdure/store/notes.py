"""Notes: texts that a team's members write for each other, in versions."""

from collections.abc import Sequence

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from perdure.errors import ToolError
from perdure.store.store import Store
from perdure.store.tables import Note, id_of

MOST_NOTES = 500
"""Names in one team."""
_SHOWN_CHARACTERS = 200


class NoteConflict(ToolError):
    """What was to be replaced is not the newest version."""


class Notes:
    """Of all teams, in one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def write(
        self, team: str, name: str, text: str, author: str, base: int | None, key: str
    ) -> Note:
        """The note as version `base` + 1; a retry with the same `key` finds the one that it made.

        Raises:
            NoteConflict: `base` is not the newest version; None is that of a note not yet there.
            ToolError: the team has as many notes as it may have.
        """
        while True:
            newest = await self.get(team, name)
            # Asked after that: what another attempt has written in between is not a conflict.
            if made := await self._made(team, key):
                return made
            if (newest.version if newest else None) != base:
                raise NoteConflict(_conflict(name, base, newest))
            if newest is None:
                await self._check_room(team)
            version = (base or 0) + 1
            note = Note(
                id=id_of("n", f"{team}\0{name}\0{version}"),
                team=team,
                name=name,
                version=version,
                author=author,
                key=key,
                text=text,
            )
            await self._store.add(note)

    async def get(self, team: str, name: str) -> Note | None:
        """The newest version."""
        query = select(Note).where(Note.team == team, Note.name == name)
        async with AsyncSession(self._store.engine) as session:
            newest = query.order_by(col(Note.version).desc()).limit(1)
            return (await session.exec(newest)).first()

    async def all(self, team: str) -> Sequence[Note]:
        """The newest version of each, by name."""
        newest = (
            select(Note.name, func.max(Note.version).label("version"))
            .where(Note.team == team)
            .group_by(Note.name)
            .subquery()
        )
        is_newest = (col(Note.name) == newest.c.name) & (col(Note.version) == newest.c.version)
        query = select(Note).join(newest, is_newest).where(Note.team == team)
        async with AsyncSession(self._store.engine) as session:
            return sorted(await session.exec(query), key=lambda note: note.name)

    async def _made(self, team: str, key: str) -> Note | None:
        query = select(Note).where(Note.team == team, Note.key == key)
        async with AsyncSession(self._store.engine) as session:
            return (await session.exec(query)).first()

    async def _check_room(self, team: str) -> None:
        query = select(func.count(func.distinct(Note.name))).where(Note.team == team)
        async with AsyncSession(self._store.engine) as session:
            count = (await session.exec(query)).one()
        if count >= MOST_NOTES:
            raise ToolError(
                f"The team has {count} notes, and no room for another one; add to one of those."
            )


def _conflict(name: str, base: int | None, newest: Note | None) -> str:
    if newest is None:
        return f"There is no note '{name}' yet, so none of version {base}; leave `version` out."
    begins = " ".join(newest.text[:_SHOWN_CHARACTERS].split())
    meant = "write a new one" if base is None else f"replace version {base}"
    return (
        f"Not written: you meant to {meant}, and the note '{name}' is at version"
        f" {newest.version}, by {newest.author}, which begins: {begins!r}. Read it with read_notes,"
        f" then write what is to stand there with version={newest.version}."
    )
