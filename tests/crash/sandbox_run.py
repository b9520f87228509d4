"""A run whose tool calls are stored in advance, and workers of this process to carry them out."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal
from uuid import uuid4

from perdure.contracts import ActInput, CloseSandbox, Observation, Place, SandboxSpec
from perdure.sandbox.files.checkpoints import Checkpoints
from perdure.sandbox.inside.index import Entries
from perdure.sandbox.machine import machine_of
from perdure.sandbox.sandboxes import queue_of
from perdure.secrets import Secrets
from perdure.settings import Settings
from perdure.store.migrate import migrate
from perdure.store.store import Store
from perdure.store.tables import StoredEntry, id_of
from perdure.tools.commands.shell import execute_shell
from perdure.tools.registry import Registry
from perdure.tools.runner import Runner
from tests.model.turns import make_call, make_run, make_turn
from worker import build_sandboxes

Kind = Literal["docker", "bwrap"]


def request(run: str, number: int, place: Place) -> ActInput:
    """The run's call of that number, counted from 1."""
    turn = f"{run}-turn-{number}"
    return ActInput(run=run, key=f"{run}:{number}", turn=turn, call=f"call-{number}", place=place)


class Worker:
    """What another worker process of this machine would have."""

    def __init__(self, run: "StoredRun") -> None:
        self.sandboxes = build_sandboxes(Settings(home=run.home), run.store)
        self._runner = Runner(run.store, Registry([execute_shell]), self.sandboxes, Secrets({}))
        self._run = run

    async def act(self, number: int) -> Observation:
        """One attempt at that call, as the activity makes it."""
        asked = self._run.request(number)
        return await self._runner.recall(asked) or await self._runner.act(asked)

    async def begin(self, number: int) -> asyncio.Task[Observation]:
        """An attempt at that call, once its command has printed something."""
        acting = asyncio.create_task(self.act(number))
        async with asyncio.timeout(30):
            while self._runner.printed(self._run.request(number)) is None and not acting.done():
                await asyncio.sleep(0.01)
        return acting


class StoredRun:
    """One run in a data directory, with its sandbox."""

    def __init__(self, home: Path, store: Store, kind: Kind) -> None:
        self.home = home
        self.store = store
        self.id = str(uuid4())
        self.place = Place(queue=queue_of(machine_of(home)), kind=kind, name=self.id)
        self._calls = 0
        self._workers: list[Worker] = []

    async def add(self, command: str, tool: str = execute_shell.name) -> int:
        """Store a turn with one call; the call's number."""
        parent = f"{self.id}-turn-{self._calls}" if self._calls else None
        self._calls += 1
        call = make_call(f"call-{self._calls}", tool, json.dumps({"command": command}))
        turn = f"{self.id}-turn-{self._calls}"
        await self.store.keep(
            make_turn(turn, call, run_id=self.id, parent_id=parent, step=self._calls)
        )
        return self._calls

    def request(self, number: int) -> ActInput:
        return request(self.id, number, self.place)

    def worker(self) -> Worker:
        self._workers.append(Worker(self))
        return self._workers[-1]

    async def result(self, number: int) -> StoredEntry | None:
        return await self.store.entry(id_of("e", self.request(number).key))

    async def told(self, number: int) -> str:
        """The status of that call's result, and its text."""
        result = await self.result(number)
        assert result is not None
        return f"{result.status}: {result.text}"

    async def carry_out(self, command: str) -> str:
        """What a worker that nobody kills is told of one more call."""
        number = await self.add(command)
        await self.worker().act(number)
        return await self.told(number)

    async def recorded(self, step: int | None = None) -> Entries:
        """The files of the last checkpoint, or of that step's."""
        return await Checkpoints(self.store).state(self.id, step)

    async def close(self) -> None:
        last = self.worker().sandboxes
        await last.close(CloseSandbox(run=self.id, place=self.place, head=None))
        for worker in self._workers:
            await worker.sandboxes.release()


@asynccontextmanager
async def stored_run(home: Path, kind: Kind, image: str | None = None) -> AsyncIterator[StoredRun]:
    """A run without calls; its sandbox is made when the first is carried out, and removed after."""
    store = await Store.open(f"sqlite:///{home / 'store.db'}")
    await migrate(store.engine)
    run = StoredRun(home, store, kind)
    spec = SandboxSpec(kind=kind, image=image, memory_mb=256)
    await store.keep(make_run(run.id, sandbox=spec))
    try:
        yield run
    finally:
        await run.close()
        await store.close()
