"""What a team adds to a task: a hundred members do a thousand, and as many runs without a team.

Both have their own embedded server and worker. Of a scripted model's tasks every second takes two
steps: a message to the next member, then the answer of 1 KB; the others answer at once. Without a
team the same turns are had by runs of a client, in as many chains as the team has members: each run
goes on from the head of the one before it, as a member's does; who gets no message is not told.

    python -m benchmarks.teams [--members 100] [--tasks 1000]
"""

import argparse
import asyncio
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from benchmarks.growth import chain_of
from benchmarks.steps import ROOT, TEXT, child, cpu
from perdure.connection import connect, run_guarded
from perdure.contracts import TASK_QUEUE, AgentRequest, AgentResult, AgentSpec, Limits
from perdure.hosting.ports import free_port
from perdure.hosting.server import EmbeddedServer
from perdure.settings import Settings
from perdure.teams.contracts import MemberGroup, TeamRequest, TeamSpec, TeamState
from perdure.testing.replies import Reply, call, calls, finish
from perdure.testing.script import ChatRequest
from perdure.testing.scripted_model import serve
from workflows.agent import AgentWorkflow
from workflows.team import TeamWorkflow

BATCH = 100
"""So many tasks are assigned by one call."""
_TASK = re.compile(r"Do (t\d+)\.")
_MEMBER = re.compile(r"You are worker-(\d+), a member")
QUERY = "QUERY_STATUS"
NO_LIMIT = Limits(max_steps=1_000_000)


@dataclass(frozen=True)
class Play:
    """Who has to do what, and the model that plays the lead, the members and runs alone.

    The last tasks are one for each member, so that every message finds its reader.
    """

    members: int
    tasks: int

    @property
    def letters(self) -> list[str]:
        """What members write to each other."""
        return [f"Letter of t{n}." for n in range(0, self.tasks - self.members, 2)]

    def task(self, number: int) -> dict[str, str]:
        mine = number - (self.tasks - self.members)
        to = f"worker-{mine + 1}" if mine >= 0 else "worker"
        return {"id": f"t{number}", "to": to, "task": f"Do t{number}. {TEXT[:400]}"}

    def reply(self, request: ChatRequest) -> Reply:
        messages = request.messages
        asked = [
            (place, found[1])
            for place, message in enumerate(messages)
            if message["role"] == "user" and (found := _TASK.search(message["content"]))
        ]
        if not asked:
            return self._lead(messages)
        place, task = asked[-1]
        return self._member(task, _replies(messages[place:]), messages[0]["content"])

    def _lead(self, messages: Sequence[dict[str, Any]]) -> Reply:
        """It numbers what it does: what it is shown of that is cut to its window."""
        assigned = [self.task(number) for number in range(self.tasks)]
        shared, own = assigned[: -self.members], assigned[-self.members :]
        course = [
            *(call("assign", tasks=batch) for batch in _batches(shared)),
            call("wait_for_tasks"),
            *(call("assign", tasks=batch) for batch in _batches(own)),
            call("wait_for_tasks"),
            finish("All is done."),
        ]
        numbers = [each["content"] for each in messages if each["role"] == "assistant"]
        done = int(numbers[-1]) if numbers else 0
        return calls(course[done], say=str(done + 1))

    def _member(self, task: str, place: int, system: str) -> Reply:
        letter = f"Letter of {task}."
        if place or letter not in self.letters:
            return finish(f"{task} is done. {TEXT}")
        me = _MEMBER.search(system)
        to = f"worker-{int(me[1]) % self.members + 1}" if me else "nobody"
        return call("send_message", to=to, text=letter)


def _replies(messages: Sequence[dict[str, Any]]) -> int:
    return sum(message["role"] == "assistant" for message in messages)


def _batches(tasks: Sequence[dict[str, str]]) -> Iterable[Sequence[dict[str, str]]]:
    return (tasks[start : start + BATCH] for start in range(0, len(tasks), BATCH))


@dataclass(frozen=True)
class Done:
    """What a team has done, and what it left in Temporal."""

    id: str
    result: AgentResult
    state: TeamState
    events: Sequence[int]
    """Of each run of the team's workflow: it continues as new."""
    bytes: Sequence[int]
    largest: dict[str, int]
    """Bytes of the largest payload of each kind of event, and of the query's answer."""


async def have_done(client: Client, play: Play) -> Done:
    """Have a team do all tasks."""
    worker = AgentSpec(name="worker", description="Works.", tools=())
    team = TeamSpec(
        name="crew",
        lead=MemberGroup(agent=AgentSpec(name="chief", tools=()), limits=NO_LIMIT),
        members=(MemberGroup(agent=worker, count=play.members),),
        limits=NO_LIMIT,
    )
    request = TeamRequest(goal="Have everything done.", team=team, model="scripted")
    handle = await client.start_workflow(
        TeamWorkflow.run, request, id=f"team-{uuid4().hex[:8]}", task_queue=TASK_QUEUE
    )
    result = await handle.result()
    state = await handle.query(TeamWorkflow.status)
    chain = await chain_of(client, handle.id, handle.first_execution_run_id)
    largest = _largest(event for link in chain for event in link)
    largest[QUERY] = len(state.model_dump_json())
    return Done(
        id=handle.id,
        result=result,
        state=state,
        events=[len(link) for link in chain],
        bytes=[sum(event.ByteSize() for event in link) for link in chain],
        largest=largest,
    )


def _largest(events: Iterable[HistoryEvent]) -> dict[str, int]:
    largest: Counter[str] = Counter()
    for event in events:
        kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
        largest[kind] = max(largest[kind], *(len(each.data) for each in _payloads(event)), 0)
    return dict(largest)


def _payloads(message: Message) -> Iterable[Payload]:
    """All that are somewhere in the message."""
    if isinstance(message, Payload):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        is_map = field.message_type.GetOptions().map_entry
        parts = value.values() if is_map else value if field.is_repeated else [value]
        for part in parts:
            if isinstance(part, Message):
                yield from _payloads(part)


async def run_alone(client: Client, play: Play) -> None:
    """Have the same turns without a team, in a chain of runs for each member."""
    await asyncio.gather(*(_chain(client, play, first) for first in range(play.members)))


async def _chain(client: Client, play: Play, first: int) -> None:
    head = None
    for number in range(first, play.tasks, play.members):
        request = AgentRequest(
            task=play.task(number)["task"],
            agent=AgentSpec(name="worker", tools=()),
            model="scripted",
            head=head,
        )
        result = await client.execute_workflow(
            AgentWorkflow.run, request, id=f"agent-{uuid4().hex}", task_queue=TASK_QUEUE
        )
        assert result.status == "completed", result
        head = result.head


@dataclass(frozen=True)
class Stage:
    """A server, a worker and a model of their own, each in its process."""

    client: Client
    home: Path
    server: psutil.Process
    worker: psutil.Process


@asynccontextmanager
async def staged(home: Path, play: Play) -> AsyncIterator[Stage]:
    server = await EmbeddedServer.start(Settings(home=home, ui_port=free_port()))
    model = ("-m", "benchmarks.teams", "--model", f"{play.members},{play.tasks}")
    try:
        async with (
            child(*model, PYTHONPATH=str(ROOT)) as (_, url),
            child(
                str(ROOT / "worker.py"),
                TEMPORAL_ADDRESS=server.address,
                PERDURE_HOME=str(home),
                OPENAI_BASE_URL=url,
            ) as (worker, _),
        ):
            client = await connect(server.address)
            yield Stage(client, home, psutil.Process(server.pid), psutil.Process(worker))
    finally:
        await server.stop()


@dataclass(frozen=True)
class Measured:
    """One way to have all tasks done."""

    seconds: float
    worker_cpu: float
    """Seconds of the worker's processor time."""
    server_cpu: float
    memory: int
    """Bytes that the worker holds afterwards."""


async def measure(play: Play, *, is_team: bool) -> tuple[Measured, Done | None]:
    with tempfile.TemporaryDirectory() as folder:
        async with staged(Path(folder), play) as stage:
            await run_alone(stage.client, Play(members=2, tasks=4))  # until all is loaded
            before = [cpu(process) for process in (stage.worker, stage.server)]
            began = time.perf_counter()
            done = await have_done(stage.client, play) if is_team else None
            if done is None:
                await run_alone(stage.client, play)
            seconds = time.perf_counter() - began
            after = [cpu(process) for process in (stage.worker, stage.server)]
            used = [end - start for end, start in zip(after, before, strict=True)]
            memory = stage.worker.memory_info().rss
    return Measured(seconds, used[0], used[1], memory), done


async def report(play: Play) -> None:
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}; {play}")
    print("| | s | tasks/s | ms a task | worker CPU ms a task | server CPU ms a task | worker MB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    alone, _ = await measure(play, is_team=False)
    _row("without a team", alone, play)
    team, done = await measure(play, is_team=True)
    assert done is not None
    assert done.result.status == "completed", done.result
    _row("team", team, play)
    print(
        f"\nThe team's workflow: {len(done.events)} runs, and {len(done.state.tasks)} tasks done."
    )
    for events, size in zip(done.events, done.bytes, strict=True):
        print(f"- {events:,} events, {size:,} bytes")
    print("\nThe largest payloads, in bytes:")
    for kind, size in sorted(done.largest.items(), key=lambda each: -each[1])[:8]:
        print(f"- {kind.lower()}: {size:,}")


def _row(name: str, one: Measured, play: Play) -> None:
    each = [one.seconds, one.worker_cpu, one.server_cpu]
    times = " | ".join(f"{seconds / play.tasks * 1e3:.1f}" for seconds in each)
    speed = f"{one.seconds:.1f} | {play.tasks / one.seconds:.1f}"
    print(f"| {name} | {speed} | {times} | {one.memory / 1e6:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.model:
        members, tasks = map(int, options.model.split(","))
        asyncio.run(serve(Play(members, tasks).reply, 0, keep_bodies=False))
        return
    run_guarded(report(Play(options.members, options.tasks)))


if __name__ == "__main__":
    main()
