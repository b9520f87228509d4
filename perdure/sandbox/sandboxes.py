"""The sandboxes of this machine's runs: chosen, opened, found again, and removed."""

import asyncio
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from weakref import WeakValueDictionary

from perdure.contracts import (
    ACT_QUEUE,
    CloseSandbox,
    OpenSandbox,
    Place,
    SandboxKind,
    SandboxSpec,
)
from perdure.errors import PerdureError, ToolError
from perdure.hosting.lock import held
from perdure.sandbox.backend import Backend
from perdure.sandbox.files.checkpoints import Checkpoints
from perdure.sandbox.found import Found
from perdure.sandbox.moves import Moves, next_name
from perdure.sandbox.sandbox import Sandbox, SandboxError, SandboxLost
from perdure.store.store import Store
from perdure.store.tables import StoredEntry, id_of

Kind = Literal["docker", "bwrap", "none", "folder"]

STRONGEST_FIRST: tuple[Kind, ...] = ("docker", "bwrap")
_STRONGER: dict[Kind, tuple[Kind, ...]] = {"bwrap": ("docker",), "folder": STRONGEST_FIRST}
SECONDS_UNTOUCHED = 600
"""A sandbox this young is not taken for an orphan: its run's own worker looks after it."""

_LONGEST_RESTORE = 25 * 60.0

logger = logging.getLogger(__name__)


class Sandboxes:
    """Opens the sandboxes of one machine, and keeps the way to each open."""

    def __init__(
        self,
        store: Store,
        checkpoints: Checkpoints,
        backends: Mapping[Kind, Backend],
        *,
        machine: str,
        cluster: str,
        kind: SandboxKind,
        locks: Path,
    ) -> None:
        """`kind` is for agents that name none; `locks` is a folder of this machine's workers.

        `machine` names this one among all, `cluster` the Temporal server that knows its runs.
        """
        self._lock_files = locks
        self._store = store
        self._checkpoints = checkpoints
        self._moves = Moves(store)
        self._backends = backends
        self.machine = machine
        self.cluster = cluster
        self.unasked: list[str] = []
        """Why some kinds could not be asked for what they have, the last time."""
        self._queue = queue_of(machine)
        self._kind = kind
        self._open: dict[str, Sandbox] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def open(self, request: OpenSandbox) -> Place:
        """Give the run a place here, with the files of its last checkpoint or of its source.

        Raises:
            SandboxError: the kind that was asked for cannot be had.
            WorkspaceError: the source cannot be copied.
        """
        spec = await self._spec(request.run)
        place = await self._place(request, spec)
        await self._begin(request, spec)
        await self.at(request.run, place)
        if request.executes:
            await self._tell(request.run, place, spec)
        return place

    async def discard(self, request: OpenSandbox) -> None:
        """Remove what `open` has made, or half of it, for a run that wants no place any more."""
        await self._remove(await self._place(request, await self._spec(request.run)))

    async def at(self, run: str, place: Place) -> Sandbox:
        """The run's sandbox; one that is gone is made again, with the files of its last checkpoint.

        Raises:
            SandboxError: it cannot be made any more.
            Moved: the run is at another place by now.
            SandboxLost: it cannot be reached now.
        """
        await self._moves.check(run, place)
        async with self._alone(place):
            if place.name not in self._open:
                self._open[place.name] = await self._enter(run, place)
            return self._open[place.name]

    async def stop(self, place: Place, step: str) -> None:
        """End the command of that step; one that cannot be reached ends with its sandbox."""
        if sandbox := self._open.get(place.name):
            try:
                await sandbox.stop(step)
            except (SandboxLost, SandboxError) as error:
                logger.warning("A command in %s was not stopped: %s", place.name, error)

    async def save(
        self, run: str, place: Place, sandbox: Sandbox, turn: str | None, key: str
    ) -> None:
        """Record the state of the run's files, if it has changed.

        Raises:
            Moved: they are at another place by now.
        """
        await self._moves.check(run, place)
        await self._moves.arrive(run, place)
        await self._checkpoints.save(run, sandbox, turn=turn, key=key)

    async def forget(self, place: Place, sandbox: Sandbox) -> None:
        """Let go of a sandbox that was lost; the next call finds it again, or makes it anew."""
        if self._open.get(place.name) is sandbox:  # not the one that another call has found since
            del self._open[place.name]
        await sandbox.close()

    async def close(self, request: CloseSandbox) -> None:
        """Record the last state of the files, and remove the sandbox with all that runs in it."""
        place = request.place
        try:
            if sandbox := self._open.get(place.name):
                key = f"{place.name}:closed"
                await self.save(request.run, place, sandbox, request.head, key)
            await self._leave(request.run, request.head)
        except (SandboxLost, PerdureError, ToolError) as error:
            logger.warning("The last state of %s was not recorded: %s", place.name, error)
        await self._remove(place)

    async def found(self) -> list[Found]:
        """Every sandbox of this data directory on this machine, of the kinds that can be asked."""
        found: list[Found] = []
        self.unasked = []
        for backend in self._backends.values():
            try:
                found += await backend.found()
            except (SandboxError, SandboxLost) as error:
                self.unasked.append(str(error))
        return found

    async def remove(self, found: Found) -> None:
        """Remove a sandbox whatever its run may say."""
        await self._remove(Place(queue=self._queue, kind=found.kind, name=found.name))

    async def release(self) -> None:
        """Let go of all of them; they stay, and are found again."""
        for sandbox in [*self._open.values()]:
            await sandbox.close()
        for backend in self._backends.values():
            await backend.close()

    async def _begin(self, request: OpenSandbox, spec: SandboxSpec) -> None:
        """Record the files with which the run begins."""
        head = (await self._store.run(request.run)).parent_head
        if request.source is not None:
            await self._checkpoints.first(request.run, request.source, spec.disk_mb)
        elif head is not None:
            await self._checkpoints.inherit(request.run, head)

    async def _leave(self, run: str, head: str | None) -> None:
        """Have a team's files be those of its lead, for whoever continues from that one's head."""
        turn = await self._store.turn(head) if head is not None else None
        if turn is not None and turn.run_id != run:
            await self._checkpoints.leave(run, turn.id)

    async def _enter(self, run: str, place: Place) -> Sandbox:
        details = {
            "run": run,
            "workflow_id": (await self._store.run(run)).workflow_id,
            "cluster": self.cluster,
            "deadline": f"{time.time() + SECONDS_UNTOUCHED:.0f}",
        }
        backend, spec = self._backends[place.kind], await self._spec(run)
        # Or another worker of this machine might still write files into it when it is in use.
        async with held(self._lock_files / f"{place.name}.lock", _LONGEST_RESTORE):
            sandbox = await backend.open(place.name, spec, details)
            try:
                if not sandbox.is_ready:
                    await self._checkpoints.restore(run, sandbox)
                    await sandbox.make_ready()
            except BaseException:
                await sandbox.close()
                raise
            return sandbox

    async def _remove(self, place: Place) -> None:
        async with self._alone(place):
            if sandbox := self._open.get(place.name):
                await self.forget(place, sandbox)
            await self._backends[place.kind].remove(place.name)
            (self._lock_files / f"{place.name}.lock").unlink(missing_ok=True)

    def _alone(self, place: Place) -> asyncio.Lock:
        """One task at a time opens or removes it; there is a lock for as long as one needs it."""
        return self._locks.setdefault(place.name, asyncio.Lock())

    async def _spec(self, run: str) -> SandboxSpec:
        """Of an agent's run or a team's."""
        return SandboxSpec.model_validate((await self._store.run(run)).spec["sandbox"])

    async def _place(self, request: OpenSandbox, spec: SandboxSpec) -> Place:
        kind = await self._chosen(spec, request)
        return Place(queue=self._queue, kind=kind, name=await self._name(request))

    async def _chosen(self, spec: SandboxSpec, request: OpenSandbox) -> Kind:
        if not request.executes:
            return "folder"
        if request.earlier is not None and request.earlier.queue == self._queue:
            return request.earlier.kind
        wanted = spec.kind or self._kind
        if wanted == "none" and self._kind in STRONGEST_FIRST:
            raise SandboxError(
                f"The worker's PERDURE_SANDBOX is '{self._kind}', so that nothing runs unisolated"
                " here, whoever asks for it. Leave --sandbox out."
            )
        if wanted != "auto":
            if problem := await self._backends[wanted].problem(spec.image):
                raise SandboxError(f"The sandbox '{wanted}' cannot be had: {problem}")
            return wanted
        for kind in STRONGEST_FIRST:
            if await self._backends[kind].problem(spec.image) is None:
                return kind
        return "folder"

    async def _name(self, request: OpenSandbox) -> str:
        """The run's own id; numbered when it moves, since what it left elsewhere is out of date."""
        earlier = request.earlier
        if earlier is None:
            return request.run
        is_here = earlier.queue == self._queue
        if is_here and await self._moves.is_current(request.run, earlier):
            return earlier.name
        return next_name(request.run, earlier)

    async def _tell(self, run: str, place: Place, spec: SandboxSpec) -> None:
        unusable = _STRONGER.get(place.kind, ())
        problems = [await self._backends[kind].problem(spec.image) for kind in unusable]
        text = _described(place, spec, problems)
        entry = StoredEntry(
            # Of the kind too: the engine may be gone when a lost opening is tried again.
            id=id_of("e", f"{place.name}:{place.queue}:{place.kind}"),
            run_id=run,
            kind="sandbox",
            text=text,
        )
        await self._store.keep(entry)


def queue_of(machine: str) -> str:
    """The task queue of what is tied to one machine."""
    return f"{ACT_QUEUE}-{machine}"


def _described(place: Place, spec: SandboxSpec, problems: list[str | None]) -> str:
    network = "with network" if spec.network else "no network"
    use = f"{network}, {spec.memory_mb} MB, {spec.cpus:g} CPU, {spec.processes} processes"
    match place.kind:
        case "docker":
            return f"Commands run in Docker: {use}."
        case "bwrap":
            why = f" Not in Docker: {problems[0]}" if problems[0] else ""
            return f"Commands run in bubblewrap: {use}; the limits are watched, not enforced.{why}"
        case "none":
            return (
                "WARNING: commands run on this machine itself, NOT ISOLATED, with all that its"
                " user may read, write and reach."
            )
        case "folder":
            return "No command can run: " + " ".join(each for each in problems if each)
