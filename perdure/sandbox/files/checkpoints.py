"""Checkpoints: the states of a run's files, recorded in the store and written back from it.

A state is recorded as what differs from the one before; those of a run are a chain, however many
act on its files. Contents are kept in pieces that are named by their digests, so that each is
fetched and stored once. The row that makes a checkpoint of them is committed last: a crash before
leaves nothing but pieces, which the next attempt finds.
"""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from weakref import WeakValueDictionary

from perdure.sandbox.files.recording import Overtaken, Readable, Recording, following
from perdure.sandbox.files.source import Source
from perdure.sandbox.files.writing import writing
from perdure.sandbox.inside.index import Entries
from perdure.sandbox.sandbox import Sandbox
from perdure.store.files import Files
from perdure.store.store import Store
from perdure.store.tables import Checkpoint


class Checkpoints:
    """Of all runs, in one store."""

    def __init__(self, store: Store, *, private: Collection[Path] = ()) -> None:
        """`private`: our own folders, which no agent gets a copy of."""
        self._files = Files(store)
        self._private = private
        self._alone: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def save(
        self, run: str, sandbox: Readable, *, turn: str | None, key: str
    ) -> Checkpoint | None:
        """Record the state of the files, as the call `key` of `turn` left it; None if unchanged.

        It may be killed at any moment and called again.
        """
        async with self._alone.setdefault(run, asyncio.Lock()):
            while True:
                base = await self._files.last(run)
                with suppress(Overtaken):
                    recording = Recording(self._files, sandbox, run, base)
                    return await recording.make(turn=turn, key=key)

    async def first(self, run: str, source: str, disk_mb: int) -> None:
        """Record the files in a folder of this machine as those that the run begins with.

        Raises:
            WorkspaceError: they cannot be read, or are more than the sandbox may hold.
        """
        if await self._files.last(run) is None:
            recording = Recording(self._files, Source(source, self._private, disk_mb), run, None)
            with suppress(Overtaken):  # by another attempt
                await recording.make(turn=None, key=f"{run}:source")

    async def inherit(self, run: str, head: str) -> None:
        """Have the run begin with the files as they were at that turn of an earlier one."""
        earlier = await self._files.before(head)
        if earlier is None or await self._files.last(run) is not None:
            return
        key = f"{run}:inherited"
        await self._files.keep(following(earlier, {}, run=run, turn=None, key=key))

    async def leave(self, run: str, head: str) -> None:
        """Have those begin with the run's last files who continue from `head`, a turn of another.

        That one may not have changed any of them itself.
        """
        if last := await self._files.last(run):
            key = f"{run}:left"
            await self._files.keep(following(last, {}, run=run, turn=head, key=key))

    async def restore(self, run: str, sandbox: Sandbox) -> None:
        """Write the last state into an empty sandbox, or one where that was not finished."""
        last = await self._files.last(run)
        if last is None:
            return
        entries = await self._files.entries(last)
        async for arguments, data in writing(self._files, entries):
            await sandbox.operate("restore", arguments, data)
        await sandbox.adopt(last.state, entries)

    async def state(self, run: str, step: int | None = None) -> Entries:
        """The files after the calls of that step, or the last."""
        point = await (self._files.last(run) if step is None else self._files.at(run, step))
        return await self._files.entries(point)
