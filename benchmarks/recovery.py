"""Seconds from kill -9 in the middle of a tool to the next step that the run records.

The tool is `safe`, so it is carried out again, and then returns at once. Killed are: the worker,
with a second one on the same queues; the only worker, started again at once; the worker and the
server, started again at once.

    python -m benchmarks.recovery [--trials 5]
"""

import argparse
import asyncio
import os
import random
import signal
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from uuid import uuid4

from temporalio.client import Client

from perdure.connection import connect, run_guarded
from perdure.contracts import TASK_QUEUE, AgentRequest, AgentSpec
from perdure.hosting.ports import free_port
from perdure.hosting.server import EmbeddedServer
from perdure.model.catalog import Catalog
from perdure.model.client import Models
from perdure.model.local.child import LocalModel
from perdure.settings import Settings
from perdure.store.migrate import migrate
from perdure.store.store import Store
from perdure.testing.replies import call, finish
from perdure.testing.scripted_model import ScriptedModel
from perdure.tools.registry import Registry
from perdure.tools.tool import ToolContext, tool
from worker import build_sandboxes, build_workers
from workflows.agent import AgentWorkflow

ROOT = Path(__file__).resolve().parents[1]
BUSY = "busy"
"""The file that tells in which process a tool is carried out."""


@tool(replay="safe")
async def labour(context: ToolContext) -> str:
    """Work for an hour, the first time."""
    busy = Settings.load().home / f"{BUSY}-{context.run}"
    if not busy.exists():
        busy.write_text(str(os.getpid()))
        await asyncio.sleep(3600)
    return "It is done."


async def serve() -> None:
    """Be a worker that has this one tool."""
    settings = Settings.load()
    store = await Store.open(settings.store_url)
    await migrate(store.engine)
    models = Models(Catalog(os.environ, settings.home / "models.toml"), LocalModel().url)
    registry, sandboxes = Registry([labour]), build_sandboxes(settings, store)
    workers = build_workers(await connect(), settings, store, models, registry, sandboxes)
    async with AsyncExitStack() as stack:
        for worker in chain.from_iterable(workers.values()):
            await stack.enter_async_context(worker)
        await asyncio.Event().wait()


class Scene:
    """A server, its workers, and what is killed."""

    def __init__(self, home: Path, server: EmbeddedServer, model: ScriptedModel) -> None:
        self.home = home
        self.server = server
        self.model = model
        self.workers: dict[int, asyncio.subprocess.Process] = {}

    async def start_worker(self) -> None:
        variables = {
            "TEMPORAL_ADDRESS": self.server.address,
            "PERDURE_HOME": str(self.home),
            "OPENAI_BASE_URL": self.model.url,
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.recovery", "--worker"),
            env={**os.environ, **variables},
            cwd=ROOT,
        )
        self.workers[process.pid] = process

    async def end(self) -> None:
        for process in self.workers.values():
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        self.workers.clear()
        await self.server.stop()

    async def trial(self, client: Client, *, workers: int, everything: bool) -> float:
        """Kill and start again what the case says; the seconds until a new turn is stored."""
        while len(self.workers) < workers:
            await self.start_worker()
        request = AgentRequest(task="Labour.", agent=AgentSpec(name="labourer"), model="scripted")
        handle = await client.start_workflow(
            AgentWorkflow.run, request, id=f"agent-{uuid4().hex}", task_queue=TASK_QUEUE
        )
        pid = await self._busy(handle.first_execution_run_id or "")
        await asyncio.sleep(random.uniform(1, 3))
        killed = datetime.now(UTC)
        await self._kill(self.workers.pop(pid))
        if everything:
            await self._restart_server()
        await self.start_worker()
        recovered = await self._next_turn(killed)
        await client.get_workflow_handle(handle.id).result()
        return (recovered - killed).total_seconds()

    async def _busy(self, run: str) -> int:
        busy = self.home / f"{BUSY}-{run}"
        while not (busy.exists() and busy.read_text()):
            await asyncio.sleep(0.05)
        return int(busy.read_text())

    async def _kill(self, process: asyncio.subprocess.Process) -> None:
        process.kill()
        await process.wait()

    async def _restart_server(self) -> None:
        os.kill(self.server.pid, signal.SIGKILL)
        await self.server.died()
        await self.server.launch()

    async def _next_turn(self, since: datetime) -> datetime:
        query = "select min(created_at) from turn where created_at > ?"
        moment = since.replace(tzinfo=None).isoformat(" ")
        while True:
            with sqlite3.connect(self.home / "store.db") as database:
                found = database.execute(query, [moment]).fetchone()[0]
            if found:
                return datetime.fromisoformat(found).replace(tzinfo=UTC)
            await asyncio.sleep(0.05)


CASES = {
    "a worker, beside another one": (2, False),
    "the only worker": (1, False),
    "everything": (1, True),
}


async def report(trials: int) -> None:
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}; {trials} trials each")
    print("| killed | median s | from | to |")
    print("|---|---|---|---|", flush=True)
    for name, (workers, everything) in CASES.items():
        seconds = await _measure(trials, workers=workers, everything=everything)
        row = (statistics.median(seconds), min(seconds), max(seconds))
        print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in row) + " |", flush=True)


async def _measure(trials: int, *, workers: int, everything: bool) -> Sequence[float]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        server = await EmbeddedServer.start(Settings(home=home, ui_port=free_port()))
        async with ScriptedModel([call("labour"), finish("done")]) as model:
            scene = Scene(home, server, model)
            try:
                client = await connect(server.address)
                return [
                    await scene.trial(client, workers=workers, everything=everything)
                    for _ in range(trials)
                ]
            finally:
                await scene.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    run_guarded(serve() if options.worker else report(options.trials))


if __name__ == "__main__":
    main()
