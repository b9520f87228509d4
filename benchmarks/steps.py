"""Steps a second, milliseconds and bytes a step: our agents beside a bare Temporal workflow.

Both run on one embedded server with its usual settings, each in a worker process of its own: the
bare workflow calls two activities a step that do nothing; ours thinks (a scripted model on HTTP,
which answers at once with 1 KB) and acts (reads 1 KB from a file), and stores both.

    python benchmarks/steps.py [--agents 1,100] [--steps 20] [--rounds 3]
"""

import argparse
import asyncio
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil
from temporalio.client import Client

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.bare import BARE_QUEUE, Bare
from perdure.connection import connect, run_guarded
from perdure.contracts import TASK_QUEUE, AgentRequest
from perdure.hosting.server import EmbeddedServer
from perdure.settings import Settings
from perdure.testing.replies import Completion, call, calls, finish
from perdure.testing.script import dump_script
from workflows.agent import AgentWorkflow

TEXT = "0123456789abcdef" * 64


def script(steps: int) -> list[Completion]:
    reading = [call("read_file", path="note.txt"), call("list_files")]
    first = call("write_file", path="note.txt", content=TEXT)
    rest = [calls(reading[step % 2], say=TEXT) for step in range(steps - 2)]
    return [first, *rest, finish("done")]


@dataclass(frozen=True)
class Measured:
    """One batch of concurrent workflows."""

    steps_per_second: float
    milliseconds: float
    """From one step of an agent to its next."""
    worker_cpu: float
    """Milliseconds of the worker's processor time a step."""
    server_cpu: float


async def measure(
    client: Client,
    kind: str,
    agents: int,
    steps: int,
    worker: psutil.Process,
    server: psutil.Process,
) -> Measured:
    before = [cpu(process) for process in (worker, server)]
    began = time.perf_counter()
    await asyncio.gather(*(_run(client, kind, steps) for _ in range(agents)))
    seconds = time.perf_counter() - began
    used = [cpu(process) - start for process, start in zip((worker, server), before, strict=True)]
    total = agents * steps
    return Measured(
        total / seconds, seconds / steps * 1e3, used[0] / total * 1e3, used[1] / total * 1e3
    )


async def _run(client: Client, kind: str, steps: int) -> None:
    id = f"agent-{uuid4().hex}"
    if kind == "bare":
        await client.execute_workflow(Bare.run, steps, id=id, task_queue=BARE_QUEUE)
        return
    request = AgentRequest(task="benchmark", agent="assistant", model="scripted")
    result = await client.execute_workflow(AgentWorkflow.run, request, id=id, task_queue=TASK_QUEUE)
    assert result.status == "completed", result


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@asynccontextmanager
async def child(*command: str, **variables: str) -> AsyncIterator[tuple[int, str]]:
    """A child process until the block ends; its id, and the first line that a server prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE if "-m" in command else None,
        env={**os.environ, **variables},
    )
    try:
        line = (await process.stdout.readline()).decode().strip() if process.stdout else ""
        yield process.pid, line
    finally:
        process.terminate()
        await process.wait()


async def compare(agents: list[int], steps: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "script.json").write_bytes(dump_script({"*": script(steps)}))
        server = await EmbeddedServer.start(Settings(home=home))
        model = ("-m", "perdure.testing.scripted_model", "--script", str(home / "script.json"))
        try:
            async with (
                child(*model, PYTHONPATH=str(ROOT)) as (_, url),
                child("-m", "benchmarks.bare", server.address, PYTHONPATH=str(ROOT)) as (
                    bare,
                    _,
                ),
                child(
                    str(ROOT / "worker.py"),
                    TEMPORAL_ADDRESS=server.address,
                    PERDURE_HOME=str(home),
                    OPENAI_BASE_URL=url,
                ) as (ours, _),
            ):
                processes = {"bare": psutil.Process(bare), "ours": psutil.Process(ours)}
                client = await connect(server.address)
                host = psutil.Process(server.pid)
                await measure(client, "bare", 2, 3, processes["bare"], host)
                await measure(client, "ours", 2, steps, processes["ours"], host)
                _head()
                for count in agents:
                    found: dict[str, list[Measured]] = {"bare": [], "ours": []}
                    for _ in range(rounds):
                        for kind, process in processes.items():
                            one = await measure(client, kind, count, steps, process, host)
                            found[kind].append(one)
                    _rows(count, found)
                await _bytes(client, home, steps)
        finally:
            await server.stop()


def _head() -> None:
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}")
    print("| agents | | steps/s | ms a step | worker CPU ms a step | server CPU ms a step |")
    print("|---|---|---|---|---|---|")


def _rows(count: int, found: dict[str, list[Measured]]) -> None:
    fields = ("steps_per_second", "milliseconds", "worker_cpu", "server_cpu")
    medians = {
        kind: [statistics.median(getattr(one, field) for one in batch) for field in fields]
        for kind, batch in found.items()
    }
    ratios = [ours / bare for ours, bare in zip(medians["ours"], medians["bare"], strict=True)]
    for kind, values in [*medians.items(), ("ours / bare", ratios)]:
        form = "{:.2f}" if kind == "ours / bare" else "{:.1f}"
        print(
            f"| {count} | {kind} | " + " | ".join(form.format(v) for v in values) + " |", flush=True
        )


async def _bytes(client: Client, home: Path, steps: int) -> None:
    """Bytes a step in Temporal's history and in the store, from one more run of each length."""
    before = _store_bytes(home)
    id = f"agent-{uuid4().hex}"
    request = AgentRequest(task="benchmark", model="scripted")
    handle = await client.start_workflow(AgentWorkflow.run, request, id=id, task_queue=TASK_QUEUE)
    await handle.result()
    history = (await handle.describe()).raw_description.workflow_execution_info.history_size_bytes
    stored = _store_bytes(home) - before
    print(
        "\nBytes a step of 1 KB reply and 1 KB result:"
        f" history {history / steps:.0f}, store {stored / steps:.0f}"
    )


def _store_bytes(home: Path) -> int:
    with sqlite3.connect(home / "store.db") as database:
        pages = database.execute("select sum(pgsize) from dbstat").fetchone()[0]
    return int(pages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", default="1,100")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    agents = [int(count) for count in options.agents.split(",")]
    run_guarded(compare(agents, options.steps, options.rounds))


if __name__ == "__main__":
    main()
