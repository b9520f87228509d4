"""A worker that carries out the stored calls of a run one after the other, to be killed at it.

Each is forked from a process that has imported everything. It says on standard output what it
comes to, and goes on when it is answered on standard input: so it can be killed at any boundary,
and at any moment after one.

Arguments: the run, how many calls it has, and what its sandbox is.
"""

import asyncio
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from perdure.contracts import Place
from perdure.sandbox.docker.recipe import container_name
from perdure.sandbox.machine import machine_of
from perdure.sandbox.sandboxes import queue_of
from perdure.secrets import Secrets
from perdure.settings import Settings
from perdure.store.engine import create_engine
from perdure.store.store import Row, Store
from perdure.store.tables import StoredEntry
from perdure.tools.commands.shell import execute_shell
from perdure.tools.registry import Registry
from perdure.tools.runner import Runner
from perdure.tools.tool import ToolContext, tool
from tests.crash.sandbox_run import request
from worker import build_sandboxes

BEGIN, GO_ON = b"b", b"."


def say(words: str) -> None:
    os.write(1, f"{words}\n".encode())


def come_to(boundary: str) -> None:
    """Say so, and wait for leave to go on."""
    say(boundary)
    if not os.read(0, 1):
        os._exit(2)  # the test has ended


class TellingStore(Store):
    async def claim(self, key: str, run_id: str, detail: dict[str, Any]) -> dict[str, Any] | None:
        come_to("claiming")
        earlier = await super().claim(key, run_id, detail)
        come_to("claimed")
        return earlier

    async def keep(self, row: Row, *others: Any) -> Row:
        if isinstance(row, StoredEntry):
            come_to("storing")
        return await super().keep(row, *others)


def telling(show: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """`show`, which says so when it is first given something."""
    told = False

    def tell(printed: bytes) -> None:
        nonlocal told
        show(printed)
        if not told:
            told = True
            come_to("printed")

    return tell


@tool(replay="idempotent", executes=True)
async def once(context: ToolContext, command: str) -> str:
    """Run a command as agents do."""
    said: str = await execute_shell.function(replace(context, show=telling(context.show)), command)
    come_to("ended")
    return said


@tool(replay="idempotent", executes=True)
async def plain(context: ToolContext, command: str) -> str:
    """Run a command as it would be without all this: a child process, again on each attempt."""
    await context.begin({})
    show, printed = telling(context.show), b""
    process = await asyncio.create_subprocess_exec(
        *_enter(context), "sh", "-c", command, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    while chunk := await process.stdout.read(1000):
        show(chunk)
        printed += chunk
    await process.wait()
    come_to("ended")
    return printed.decode()


def _enter(context: ToolContext) -> list[str]:
    if context.sandbox.kind == "docker":
        return ["docker", "exec", "-u", "1000", "-w", "/workspace", container_name(context.run)]
    return ["env", "-C", f"{os.environ['PERDURE_HOME']}/sandboxes/{context.run}/workspace"]


async def work(run: str, calls: int, kind: Any) -> None:
    """Carry out what has no result yet."""
    settings = Settings.load()
    store = TellingStore(create_engine(settings.store_url))
    sandboxes = build_sandboxes(settings, store)
    runner = Runner(store, Registry([once, plain]), sandboxes, Secrets({}))
    place = Place(queue=queue_of(machine_of(settings.home)), kind=kind, name=run)
    come_to("worker " + str(os.getpid()))
    for number in range(1, calls + 1):
        asked = request(run, number, place)
        if await runner.recall(asked) is None:
            come_to(f"acting {number}")
            await runner.act(asked)
            come_to("stored")
    await sandboxes.release()
    await store.close()


def be_worker(run: str, calls: int, kind: str) -> None:
    code = 1
    try:
        asyncio.run(work(run, calls, kind))
        code = 0
    except BaseException:  # noqa: BLE001 - nothing of a child may return into its parent's stack
        traceback.print_exc()
    finally:
        os._exit(code)


def main(run: str, calls: str, kind: str) -> None:
    """Be the process that workers are forked from, one at a time."""
    while order := os.read(0, 1):
        if order != BEGIN:
            continue  # an answer that a worker was not there any more to read
        if (pid := os.fork()) == 0:
            be_worker(run, int(calls), kind)
        _, status = os.waitpid(pid, 0)
        say(f"over {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
