"""A composition root whose worker kills itself, once each, at the boundaries named in CRASHES.

It hosts the same parts as `worker.py`: only the store tells when it commits, the workflows tell
when they signal each other, and three tools stand for the three replay policies.
"""

import asyncio
import os
import signal
import sys
import time
from contextlib import AsyncExitStack
from itertools import chain
from pathlib import Path
from typing import Any

from sqlmodel import SQLModel
from temporalio.client import Client
from temporalio.client import Interceptor as ClientInterceptor
from temporalio.service import RPCError
from temporalio.worker import (
    HandleSignalInput,
    Interceptor,
    SignalExternalWorkflowInput,
    StartChildWorkflowInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)
from temporalio.workflow import ChildWorkflowHandle

from perdure.connection import connect, register_search_attributes, run_guarded
from perdure.contracts import AgentResult, Ask, Delivery
from perdure.errors import ServerError
from perdure.model.catalog import Catalog
from perdure.model.client import Models
from perdure.model.local.child import LocalModel
from perdure.settings import Settings
from perdure.store.engine import create_engine
from perdure.store.migrate import migrate
from perdure.store.store import Row, Store
from perdure.store.tables import Run, StoredEntry, Turn
from perdure.tools.commands.shell import execute_shell
from perdure.tools.registry import Registry
from perdure.tools.tool import ToolContext, tool
from worker import build_sandboxes, build_workers

HOME = Path(os.environ["PERDURE_HOME"])
CRASHES = set(os.environ["CRASHES"].split())
"""Such as `before_turn:3`: a boundary and a step, counted from 1."""
TOOL_SECONDS = float(os.environ["TOOL_SECONDS"])


def crash(boundary: str, step: int) -> None:
    """Kill this process if that is ordered and has not been done; a file remembers it."""
    done = HOME / f"{boundary}.{step}.crashed"
    if f"{boundary}:{step}" in CRASHES and not done.exists():
        done.touch()
        os.kill(os.getpid(), signal.SIGKILL)


class CrashingStore(Store):
    async def keep(self, row: Row, *others: SQLModel) -> Row:
        name, step = _what(row)
        crash(f"before_{name}", step)
        kept = await super().keep(row, *others)
        crash(f"after_{name}", step)
        return kept

    async def end_run(self, run_id: str, result: AgentResult) -> None:
        name = "close_team" if _is_team(await self.run(run_id)) else "close"
        crash(f"before_{name}", 1)
        await super().end_run(run_id, result)
        crash(f"after_{name}", 1)


def _what(row: SQLModel) -> tuple[str, int]:
    """The boundary that a commit of `row` is, and its step."""
    match row:
        case Turn():
            return "turn", row.step
        case StoredEntry(call=None):
            return "notice", 1
        case StoredEntry(call=str(call)):
            return f"result_{row.tool}", int(call.split("_")[-2]) + 1
        case _:
            assert isinstance(row, Run)
            return "open_team" if _is_team(row) else "open", 1


def _is_team(run: Run) -> bool:
    return "members" in run.spec


class Boundaries(ClientInterceptor, Interceptor):
    """Those between workflows; the SDK takes it over from the client for every worker."""

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        return _Inbound


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))

    async def handle_signal(self, input: HandleSignalInput) -> None:
        crash(f"in_{input.signal}", _number(input.args))
        await super().handle_signal(input)


class _Outbound(WorkflowOutboundInterceptor):
    async def start_child_workflow(
        self, input: StartChildWorkflowInput
    ) -> ChildWorkflowHandle[Any, Any]:
        crash("before_child", 1)
        handle = await super().start_child_workflow(input)
        crash("after_child", 1)
        return handle

    async def signal_external_workflow(self, input: SignalExternalWorkflowInput) -> None:
        crash(f"before_{input.signal}", _number(input.args))
        await super().signal_external_workflow(input)
        crash(f"after_{input.signal}", _number(input.args))


def _number(args: Any) -> int:
    """Of an ask or a delivery; there is one report a run."""
    match args[0]:
        case Ask(number=number) | Delivery(first=number):
            return number
        case _:
            return 1


@tool(replay="safe")
def look(step: int) -> int:
    """Count what has been put so far."""
    time.sleep(TOOL_SECONDS)
    crash("in_look", step)
    return sum(1 for _ in HOME.glob("put-*"))


@tool(replay="idempotent")
def put(step: int, context: ToolContext) -> int:
    """Keep the square of a step under the call's key."""
    place = HOME / f"put-{context.key}"
    place.write_text(str(step))
    time.sleep(TOOL_SECONDS)
    crash("in_put", step)
    return step**2


@tool(replay="unsafe")
def append(step: int) -> str:
    """Append a line to the ledger."""
    with (HOME / "ledger").open("a") as ledger:
        ledger.write(f"{step}\n")
    time.sleep(TOOL_SECONDS)
    crash("in_append", step)
    return f"Line {step} is written."


@tool(replay="unsafe")
def write(line: str) -> str:
    """Append a line to the effects."""
    with (HOME / "effects").open("a") as effects:
        effects.write(f"{line}\n")
    time.sleep(TOOL_SECONDS)
    crash("in_write", 1)
    return f"Written: {line}"


@tool(replay="safe")
async def stall() -> None:
    """Take longer than anybody waits."""
    await asyncio.sleep(24 * 3600)


TOOLS = (look, put, append, write, stall, execute_shell)


async def _connect() -> Client:
    config = (await connect()).config()
    config["interceptors"] = [Boundaries()]
    return Client(**config)


async def serve() -> None:
    settings = Settings.load()
    client = await _connect()
    await register_search_attributes(client)
    store = CrashingStore(create_engine(settings.store_url))
    await migrate(store.engine)
    models = Models(Catalog(os.environ, settings.home / "models.toml"), LocalModel().url)
    registry, sandboxes = Registry(TOOLS), build_sandboxes(settings, store)
    workers = build_workers(client, settings, store, models, registry, sandboxes)
    async with AsyncExitStack() as stack:
        for worker in chain.from_iterable(workers.values()):
            await stack.enter_async_context(worker)
        await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        run_guarded(serve())
    except (ServerError, RPCError):  # a server that is killed as well: a worker is started again
        os.execv(sys.executable, [sys.executable, "-m", "tests.crash.crashing_worker"])
