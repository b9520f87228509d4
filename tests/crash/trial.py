"""One scripted run in a namespace and a home of its own, whose worker is killed and comes back."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import uuid4

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.service import RPCError, RPCStatusCode

from perdure.connection import connect, register_search_attributes
from perdure.contracts import (
    TASK_QUEUE,
    AgentRequest,
    AgentResult,
    AgentSpec,
    Limits,
    Message,
    RunState,
)
from perdure.hosting import leash
from perdure.hosting.ports import free_port
from perdure.hosting.server import EmbeddedServer
from perdure.settings import Settings
from perdure.testing.replies import Reply, call, calls, finish, slow
from perdure.testing.script import ChatRequest
from perdure.testing.scripted_model import ScriptedModel
from workflows.agent import AgentWorkflow

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


@asynccontextmanager
async def running_server(
    home: Path, kind: type[EmbeddedServer] = EmbeddedServer
) -> AsyncIterator[EmbeddedServer]:
    # Not the usual port of the Web UI, for which all servers that start now compete.
    server = await kind.start(Settings(home=home, ui_port=free_port()))
    try:
        yield server
    finally:
        await server.stop()


async def in_namespace(address: str, name: str) -> Client:
    """A client of a new namespace."""
    client = await connect(address)
    kept = Duration(seconds=24 * 3600)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=kept)
    )
    own = Client(client.service_client, namespace=name, data_converter=client.data_converter)
    await register_search_attributes(own)
    return own


class Trial:
    """Each step looks, puts and appends in parallel; the answer is the sum of what put returned.

    `crashes` are boundaries such as `in_append:3`. Those of the worker itself are its own
    affair; at `request:STEP` and `reply:STEP` it is the model that kills it.
    """

    def __init__(
        self, client: Client, home: Path, crashes: Iterable[str] = (), *, steps: int = 8
    ) -> None:
        self.client = client
        self.home = home
        self.id = f"agent-{uuid4().hex}"
        self.steps = steps
        """May be changed while the run is under way."""
        self.kills = 0
        self.reply_seconds = 0.0
        self.tool_seconds = 0.0
        self.model = ScriptedModel(self._reply, on_request=self._asked, on_reply=self._answered)
        self._crashes = set(crashes)
        self._worker: asyncio.subprocess.Process
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        await self.model.start()
        await self._start_worker()
        self._keeping = asyncio.create_task(self._keep_worker())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._keeping.cancel()
        with suppress(ProcessLookupError):
            self._worker.kill()
        await self._worker.wait()
        await self.model.stop()

    # The run

    async def start(self) -> None:
        request = AgentRequest(
            task="Work until it is enough.",
            agent=AgentSpec(name="worker", tools=("look", "put", "append")),
            model="scripted",
            limits=Limits(max_steps=100_000),
        )
        await self.client.start_workflow(
            AgentWorkflow.run, request, id=self.id, task_queue=TASK_QUEUE
        )

    @property
    def handle(self) -> WorkflowHandle[AgentWorkflow, AgentResult]:
        return self.client.get_workflow_handle_for(AgentWorkflow.run, self.id)

    async def result(self) -> AgentResult:
        """The run's result; fails when the worker ends otherwise than by a kill."""
        asking = asyncio.create_task(patiently(self.handle.result))
        await asyncio.wait({asking, self._keeping}, return_when=asyncio.FIRST_COMPLETED)
        if self._keeping.done():
            asking.cancel()
            self._keeping.result()
        return await asking

    async def tell(self, text: str) -> None:
        """Send a message; asking again under the same id, as a careful client does."""
        message, update_id = Message(text=text), uuid4().hex

        async def send() -> RunState:
            return await self.handle.execute_update(AgentWorkflow.tell, message, id=update_id)

        await patiently(send)

    async def tell_at_random(self, moment: random.Random, over: asyncio.Event) -> list[str]:
        """Send a message now and then until it is `over`; those that were acknowledged."""
        sent: list[str] = []
        while not over.is_set():
            await asyncio.sleep(moment.uniform(0, 2))
            sent.append(f"note {len(sent)}")
            await self.tell(sent[-1])
        return sent

    # The worker and its deaths

    async def kill_worker(self) -> None:
        """Kill it now, and wait until another one has been started."""
        kills = self.kills
        with suppress(ProcessLookupError):
            self._worker.kill()
        async with self._changed:
            await self._changed.wait_for(lambda: self.kills > kills)

    async def next_request(self) -> None:
        """Wait until the model is asked again."""
        asked = len(self.model.requests)
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.model.requests) > asked)

    async def _start_worker(self) -> None:
        own = {
            "TEMPORAL_ADDRESS": self.client.service_client.config.target_host,
            "TEMPORAL_NAMESPACE": self.client.namespace,
            "PERDURE_HOME": str(self.home),
            "OPENAI_BASE_URL": self.model.url,
            "CRASHES": " ".join(self._crashes),
            "TOOL_SECONDS": str(self.tool_seconds),
        }
        with (self.home / "worker.log").open("ab") as log:
            self._worker = await asyncio.create_subprocess_exec(
                *(sys.executable, "-ISs", leash.__file__, str(os.getpid())),
                *(sys.executable, "-m", "tests.crash.crashing_worker"),
                env={**os.environ, **own},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    async def _keep_worker(self) -> None:
        while (code := await self._worker.wait()) == -signal.SIGKILL:
            await self._start_worker()
            self.kills += 1
            await self._notify()
        log = (self.home / "worker.log").read_text()[-2000:]
        raise AssertionError(f"The worker ended with {code}:\n{log}")

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # The model

    def _reply(self, request: ChatRequest) -> Reply:
        step = request.place + 1
        if step > self.steps:
            return finish(str(sum(int(text) for text in results(request.messages, "put"))))
        tools = [call(name, step=step) for name in ("look", "put", "append")]
        return slow(self.reply_seconds, calls(*tools))

    async def _asked(self, request: ChatRequest) -> None:
        await self._notify()
        step = request.place + 1
        if self._is_due(f"request:{step}"):
            self._worker.kill()
            while self.model.connected:
                await asyncio.sleep(0.01)
        if f"reply:{step}" in self._crashes:
            # Stopped, so that it stores nothing between the reply and the kill.
            self._worker.send_signal(signal.SIGSTOP)

    async def _answered(self, request: ChatRequest) -> None:
        if self._is_due(f"reply:{request.place + 1}"):
            self._worker.kill()

    def _is_due(self, crash: str) -> bool:
        due = crash in self._crashes
        self._crashes.discard(crash)
        return due


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again while the server is away."""
    while True:
        try:
            return await ask()
        except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            if isinstance(error, RPCError) and error.status == RPCStatusCode.NOT_FOUND:
                raise
            await asyncio.sleep(0.1)


def results(messages: Sequence[dict[str, Any]], tool: str) -> list[str]:
    """What the model is shown of the calls of `tool`, in order."""
    ids = {
        call["id"]
        for message in messages
        for call in message.get("tool_calls") or ()
        if call["function"]["name"] == tool
    }
    return [m["content"] for m in messages if m["role"] == "tool" and m["tool_call_id"] in ids]
