"""A workspace that several runs share: their calls are stored in advance, and processes act."""

import asyncio
import json
import os
import sys
from pathlib import Path
from uuid import uuid4

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from perdure.contracts import CloseSandbox, Place, SandboxSpec
from perdure.hosting import leash
from perdure.sandbox.machine import machine_of
from perdure.sandbox.sandboxes import queue_of
from perdure.settings import Settings
from perdure.store.store import Store
from perdure.store.tables import Checkpoint, StoredEntry
from tests.model.turns import make_call, make_run, make_turn
from worker import build_sandboxes

ROOT = Path(__file__).parents[2]


class Commons:
    """A team's files, and the runs of its members."""

    def __init__(self, home: Path, store: Store, spec: SandboxSpec) -> None:
        assert spec.kind is not None
        assert spec.kind != "auto"
        self.home = home
        self.store = store
        self.owner = str(uuid4())
        self.place = Place(queue=queue_of(machine_of(home)), kind=spec.kind, name=self.owner)
        self._spec = spec
        self._workers: list[asyncio.subprocess.Process] = []

    async def found(self) -> None:
        await self.store.keep(make_run(self.owner, sandbox=self._spec))

    async def join(self, run: str, *commands: str) -> None:
        """A member's run that is to carry out these commands, a turn each."""
        await self.store.keep(make_run(run))
        for number, command in enumerate(commands, 1):
            call = make_call("c", "execute_shell", json.dumps({"command": command}))
            parent = f"{run}:{number - 1}" if number > 1 else None
            turn = make_turn(f"{run}:{number}", call, run_id=run, parent_id=parent, step=number)
            await self.store.keep(turn)

    async def worker(self, run: str, calls: int) -> asyncio.subprocess.Process:
        """A process that carries out what of the run is not done; a line for each call."""
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-ISs", leash.__file__, str(os.getpid())),
            *(sys.executable, "-m", "tests.sandbox.commons_worker"),
            *(run, str(calls), self.owner, self.place.model_dump_json()),
            env={**os.environ, "PERDURE_HOME": str(self.home)},
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        self._workers.append(worker)
        return worker

    async def results(self, run: str) -> list[StoredEntry]:
        news = await self.store.news(run, None)
        return [row for row in news if isinstance(row, StoredEntry)]

    async def chain(self) -> list[Checkpoint]:
        """Every checkpoint that there is, from the first to the last."""
        query = select(Checkpoint).order_by(col(Checkpoint.created_at))
        async with AsyncSession(self.store.engine) as session:
            return list(await session.exec(query))

    async def close(self) -> None:
        for worker in self._workers:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()
        sandboxes = build_sandboxes(Settings(home=self.home), self.store)
        await sandboxes.close(CloseSandbox(run=self.owner, place=self.place, head=None))
        await sandboxes.release()
