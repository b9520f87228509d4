"""What a command costs: a plain `docker exec`, ours, and a whole step with its checkpoint.

Each carries out `true`, one after the other in each sandbox. `run` is the command by way of the
shim; `step` is what an `act` does: claim, command, checkpoint, stored result.

    python -m benchmarks.tools [--commands 20] [--sandboxes 1,20]
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from uuid import uuid4

import docker

from perdure.connection import run_guarded
from perdure.contracts import ActInput, AgentSpec, Place, SandboxSpec
from perdure.sandbox.docker.recipe import container_name
from perdure.sandbox.found import Found
from perdure.sandbox.sandbox import Command
from perdure.sandbox.sandboxes import Sandboxes
from perdure.secrets import Secrets
from perdure.settings import Settings
from perdure.store.migrate import migrate
from perdure.store.store import Store
from perdure.store.tables import Run, Turn
from perdure.tools.commands.shell import TOOLS
from perdure.tools.registry import Registry
from perdure.tools.runner import Runner
from worker import build_sandboxes

TRUE = Command(("true",))
TURN = "t-benchmark"

Work = Callable[[int], Awaitable[object]]


class Scene:
    """Runs that have a sandbox each, and a runner that carries out their calls."""

    def __init__(self, store: Store, sandboxes: Sandboxes) -> None:
        self.store = store
        self.sandboxes = sandboxes
        self.runner = Runner(store, Registry(TOOLS), sandboxes, Secrets({}))

    async def prepare(self) -> None:
        arguments = '{"command": "true"}'
        call = {"id": "c", "tool": "execute_shell", "arguments": arguments, "problem": None}
        turn = Turn(
            id=TURN, run_id="none", parent_id=None, step=1, entries=[], thought="", calls=[call],
            characters=0, model="none", finish_reason="", input_tokens=0, output_tokens=0,
            cost_usd=None, seconds=0.0,
        )  # fmt: skip
        await self.store.keep(turn)

    async def place(self, kind: str) -> Place:
        run = str(uuid4())
        spec = AgentSpec(name="benchmark", sandbox=SandboxSpec()).model_dump(mode="json")
        row = Run(id=run, workflow_id=run, agent="a", model="m", spec=spec, task="benchmark")
        await self.store.keep(row)
        return Place.model_validate({"queue": "none", "kind": kind, "name": run})

    async def run(self, place: Place) -> None:
        sandbox = await self.sandboxes.at(place.name, place)
        await sandbox.run(f"{uuid4()}:1", TRUE, lambda _: None)

    async def step(self, place: Place) -> None:
        key = f"{uuid4()}:1"
        request = ActInput(run=place.name, key=key, turn=TURN, call="c", place=place)
        seen = await self.runner.act(request)
        assert seen.status == "ok", seen


async def measure(kind: str, sandboxes: int, commands: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = await Store.open(f"sqlite:///{folder}/store.db")
        await migrate(store.engine)
        scene = Scene(store, build_sandboxes(Settings(home=Path(folder)), store))
        await scene.prepare()
        places = [await scene.place(kind) for _ in range(sandboxes)]
        try:
            opened = await _timed(
                lambda n: scene.sandboxes.at(places[n].name, places[n]), places, 1
            )
            rows = [("run", await _timed(lambda n: scene.run(places[n]), places, commands))]
            rows.append(("step", await _timed(lambda n: scene.step(places[n]), places, commands)))
            if kind == "docker":
                rows.insert(0, ("plain exec", await _plain(places, commands)))
        finally:
            for place in places:
                await scene.sandboxes.remove(found_at(place))
            await scene.sandboxes.release()
            await store.close()
    for what, (seconds, rate) in rows:
        print(f"| {sandboxes} | {kind} | {what} | {seconds * 1000:.0f} | {rate:.0f} |")
    print(f"| {sandboxes} | {kind} | open | {opened[0] * 1000:.0f} | {opened[1]:.1f} |", flush=True)


def found_at(place: Place) -> Found:
    name = place.name
    return Found(
        name=name, kind=place.kind, run=name, workflow_id=name, cluster="none", deadline=0.0
    )


async def _plain(places: Sequence[Place], commands: int) -> tuple[float, float]:
    engine = docker.from_env(max_pool_size=len(places))
    containers = [engine.containers.get(container_name(place.name)) for place in places]

    async def execute(number: int) -> None:
        await asyncio.to_thread(containers[number].exec_run, "true", user="1000:1000")

    measured = await _timed(execute, places, commands)
    engine.close()
    return measured


async def _timed(work: Work, places: Sequence[Place], times: int) -> tuple[float, float]:
    """Median seconds of one, and how many a second there were in all."""
    taken: list[float] = []

    async def one_after_the_other(number: int) -> None:
        for _ in range(times):
            began = time.perf_counter()
            await work(number)
            taken.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*map(one_after_the_other, range(len(places))))
    return statistics.median(taken), len(taken) / (time.perf_counter() - began)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=20)
    parser.add_argument("--sandboxes", default="1,20")
    given = parser.parse_args()
    print(f"{os.cpu_count()} processors, {given.commands} commands a sandbox\n")
    print("| sandboxes | kind | | median ms | a second |\n|---|---|---|---|---|")
    for sandboxes in map(int, given.sandboxes.split(",")):
        for kind in ("docker", "bwrap", "none"):
            await measure(kind, sandboxes, given.commands)


if __name__ == "__main__":
    run_guarded(main())
