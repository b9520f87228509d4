"""The making of one checkpoint."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Protocol

from perdure.sandbox.files.parts import Part, batches, parts
from perdure.sandbox.inside.index import Changes, identity
from perdure.sandbox.inside.pieces import digest
from perdure.sandbox.sandbox import Changed
from perdure.store.files import Files, Point
from perdure.store.packing import pack, piece
from perdure.store.tables import Checkpoint, Piece, id_of, now

_SCANS = 3
_TOLD = 5
"""So many files are named in the log."""
_TICK = timedelta(microseconds=1)

logger = logging.getLogger(__name__)


class Readable(Protocol):
    """What a state is recorded from: a sandbox, or a user's folder. See `Sandbox`."""

    async def changes(self, base: str | None) -> Changed | None: ...

    async def adopt(self, base: str, entries: dict[str, Any]) -> None: ...

    async def pieces(self, wanted: list[tuple[str, int, int]]) -> bytes: ...


class Overtaken(Exception):
    """Somebody else has recorded what follows on the same checkpoint."""


class Recording:
    """Of what differs from the checkpoint `base`."""

    def __init__(self, files: Files, source: Readable, run: str, base: Point | None) -> None:
        self._files = files
        self._source = source
        self._run = run
        self._base = base
        self._new_bytes = 0
        self._unstored: Sequence[Piece] = ()

    async def make(self, *, turn: str | None, key: str) -> Checkpoint | None:
        """Store the checkpoint, if anything has changed.

        Raises:
            Overtaken: another process was faster.
        """
        changes = await self._gather()
        if not changes:
            return None
        found = following(self._base, changes, run=self._run, turn=turn, key=key)
        found.new_bytes = self._new_bytes
        # With the last of its contents: one commit is enough for a small change.
        if found.id not in await self._files.keep(found, *self._unstored):
            raise Overtaken
        return found

    async def _gather(self) -> Changes:
        """The changes whose contents can be had."""
        for _ in range(_SCANS):
            changes = await self._changes()
            missing = await self._fetch(changes)
            if not missing:
                return changes
        moving = {part.path for part in parts(changes) if part.digest in missing}
        logger.warning(
            "Files of run %s that are being written are left to its next checkpoint: %s",
            self._run,
            ", ".join(repr(path) for path in sorted(moving)[:_TOLD]),
        )
        return {path: entry for path, entry in changes.items() if path not in moving}

    async def _changes(self) -> Changes:
        state = self._base.state if self._base else None
        found = await self._source.changes(state)
        if found is None and self._base is not None:
            await self._source.adopt(self._base.state, await self._files.entries(self._base))
            found = await self._source.changes(state)
        if found is None:
            message = f"The sandbox does not know the state {state!r} that it was just told."
            raise RuntimeError(message)
        if found.omitted:
            told = "; ".join(f"{path!r}: {reason}" for path, reason in found.omitted[:_TOLD])
            logger.warning("Files of run %s that no checkpoint holds: %s", self._run, told)
        return found.changes

    async def _fetch(self, changes: Changes) -> set[str]:
        """Get the contents that are not stored; the digests of those that have changed again."""
        await self._store_earlier()
        by_digest = {part.digest: part for part in parts(changes)}
        missing = await self._files.missing(by_digest)
        wanted = sorted((by_digest[each] for each in missing), key=lambda part: part.place)
        for batch in batches(wanted, lambda part: part.length):
            data = await self._source.pieces([part.place for part in batch])
            await self._store_earlier()
            self._unstored = await asyncio.to_thread(_matching, batch, data)
            self._new_bytes += sum(each.size for each in self._unstored)
            missing -= {each.id for each in self._unstored}
        return missing

    async def _store_earlier(self) -> None:
        if self._unstored:
            await self._files.keep(*self._unstored)
            self._unstored = ()


def following(
    base: Point | None, changes: Changes, *, run: str, turn: str | None, key: str
) -> Checkpoint:
    """The run's checkpoint after `base`: there can be only one, so that they are a chain."""
    return Checkpoint(
        id=id_of("c", f"{run}:{base.id if base else ''}"),
        run_id=run,
        parent_id=base.id if base else None,
        state=identity(base.state if base else None, changes),
        turn_id=turn,
        key=key,
        changes=pack(changes),
        files=len(changes),
        new_bytes=0,
        # Later than its parent's, which may be of a machine whose clock is ahead.
        created_at=max(now(), base.created_at + _TICK) if base else now(),
    )


def _matching(batch: Sequence[Part], data: bytes) -> list[Piece]:
    """The pieces that are what their digests say."""
    found = []
    offset = 0
    for part in batch:
        content = data[offset : offset + part.length]
        offset += part.length
        if digest(content) == part.digest:
            found.append(piece(content))
    return found
