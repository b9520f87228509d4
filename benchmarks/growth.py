"""Bytes and milliseconds a step as a run grows, in Temporal's history and in the store.

Each step is a reply of 1 KB and a tool's result of 1 KB, by a scripted model on HTTP.

    python -m benchmarks.growth [--steps 10,100,1000]
"""

import argparse
import asyncio
import os
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from perdure.connection import connect, run_guarded
from perdure.contracts import TASK_QUEUE, AgentRequest, AgentResult, AgentSpec, Limits
from perdure.hosting.ports import free_port
from perdure.hosting.server import EmbeddedServer
from perdure.settings import Settings
from perdure.testing.replies import Reply, call, calls, finish
from perdure.testing.script import ChatRequest
from perdure.testing.scripted_model import ScriptedModel
from workflows.agent import AgentWorkflow

ROOT = Path(__file__).resolve().parents[1]
TEXT = "0123456789abcdef" * 64
STRIDE = 100
"""The store is measured whenever so many steps have been done."""


@dataclass(frozen=True)
class Growth:
    """One run, and what its steps added."""

    result: AgentResult
    runs: int
    """Links of the chain that continue-as-new made."""
    history: Sequence[int]
    """Bytes of each step's events; the last are those of the last reply and the end."""
    stored: dict[int, int]
    """Size of the database, by the number of steps done."""
    times: Sequence[float]
    """When the model was asked for each step, in seconds."""

    def history_bytes(self, first: int, last: int) -> float:
        """A step, from the one after `first` steps up to the one that makes it `last`."""
        return sum(self.history[first:last]) / (last - first)

    def store_bytes(self, first: int, last: int) -> float:
        return (self.stored[last] - self.stored[first]) / (last - first)

    def milliseconds(self, first: int, last: int) -> float:
        return (self.times[last] - self.times[first]) / (last - first) * 1e3


class _Course:
    """Plays the model of one run, and keeps the time and the size of the store as it goes."""

    def __init__(self, steps: int, database: Path) -> None:
        self.steps = steps
        self.database = database
        self.stored: dict[int, int] = {}
        self.times: list[float] = []

    def reply(self, request: ChatRequest) -> Reply:
        # Not `request.place`: it counts what is shown, and a long run is not shown whole.
        done = len(self.times)
        self.times.append(request.time)
        if done % STRIDE == 0:
            self.measure(done)
        if done == self.steps:
            return finish("done")
        if done == 0:
            writing = [call("write_file", path=f"{name}.txt", content=TEXT) for name in (0, 1)]
            return calls(*writing)
        return calls(call("read_file", path=f"{done % 2}.txt"), say=TEXT)

    def measure(self, done: int) -> None:
        with sqlite3.connect(self.database) as database:
            self.stored[done] = database.execute("select sum(pgsize) from dbstat").fetchone()[0]


async def grow(home: Path, lengths: Sequence[int]) -> list[Growth]:
    """A run of each length, one after the other, on one server and one worker."""
    server = await EmbeddedServer.start(Settings(home=home, ui_port=free_port()))
    try:
        async with ScriptedModel(keep_bodies=False) as model, _worker(server, home, model):
            client = await connect(server.address)
            return [await _grow(client, model, steps, home / "store.db") for steps in lengths]
    finally:
        await server.stop()


async def _grow(client: Client, model: ScriptedModel, steps: int, database: Path) -> Growth:
    course = _Course(steps, database)
    model.follow(course.reply)
    request = AgentRequest(
        task="Grow.",
        agent=AgentSpec(name="grower"),
        model="scripted",
        limits=Limits(max_steps=steps + 1),
    )
    handle = await client.start_workflow(
        AgentWorkflow.run, request, id=f"agent-{uuid4().hex}", task_queue=TASK_QUEUE
    )
    result = await handle.result()
    course.measure(steps)
    links = await chain_of(client, handle.id, handle.first_execution_run_id)
    events = [event for run in links for event in run]
    return Growth(result, len(links), _by_step(events), course.stored, course.times)


@asynccontextmanager
async def _worker(server: EmbeddedServer, home: Path, model: ScriptedModel) -> AsyncIterator[None]:
    variables = {
        "TEMPORAL_ADDRESS": server.address,
        "PERDURE_HOME": str(home),
        "OPENAI_BASE_URL": model.url,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "worker.py"), env={**os.environ, **variables}
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def chain_of(client: Client, id: str, run: str | None) -> list[list[HistoryEvent]]:
    """The events of the run, and of each one that it continued as."""
    chain = []
    while run:
        handle = client.get_workflow_handle(id, run_id=run)
        events = [event async for event in handle.fetch_history_events()]
        chain.append(events)
        run = events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return chain


def _by_step(events: Sequence[HistoryEvent]) -> list[int]:
    """Bytes of the events from each think to the next; what comes before the first is its too."""
    sizes = [0]
    thinks = 0
    for event in events:
        is_think = event.activity_task_scheduled_event_attributes.activity_type.name == "think"
        thinks += is_think
        if is_think and thinks > 1:
            sizes.append(0)
        sizes[-1] += event.ByteSize()
    return sizes


def _row(growth: Growth) -> str:
    steps = growth.result.steps - 1
    fields = [
        f"{steps}",
        f"{growth.runs}",
        f"{sum(growth.history) / steps:,.0f}",
        f"{growth.store_bytes(0, steps):,.0f}",
        f"{growth.milliseconds(0, steps):.0f}",
    ]
    return "| " + " | ".join(fields) + " |"


def _compare(growth: Growth) -> str:
    steps = growth.result.steps - 1
    first, last = (0, STRIDE), (steps - STRIDE, steps)
    return (
        f"\nThe first and the last {STRIDE} of {steps} steps:"
        f" history {growth.history_bytes(*first):,.0f} and {growth.history_bytes(*last):,.0f},"
        f" store {growth.store_bytes(*first):,.0f} and {growth.store_bytes(*last):,.0f} bytes a"
        f" step; {growth.milliseconds(*first):.0f} and {growth.milliseconds(*last):.0f} ms a step."
    )


async def report(lengths: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        grown = await grow(Path(folder), lengths)
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}")
    print("| steps | runs in the chain | history bytes a step | store bytes a step | ms a step |")
    print("|---|---|---|---|---|")
    for each in grown:
        print(_row(each))
    if lengths[-1] >= 2 * STRIDE and lengths[-1] % STRIDE == 0:
        print(_compare(grown[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", default="10,100,1000")
    options = parser.parse_args()
    run_guarded(report([int(steps) for steps in options.steps.split(",")]))


if __name__ == "__main__":
    main()
