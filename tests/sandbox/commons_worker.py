"""A worker, to be killed: carries out a run's stored calls in the workspace of another run.

Arguments: the run, how many calls it has, whose workspace it is, and where.
"""

import asyncio
import sys

from perdure.contracts import ActInput, Place
from perdure.secrets import Secrets
from perdure.settings import Settings
from perdure.store.engine import create_engine
from perdure.store.store import Store
from perdure.tools.commands.shell import execute_shell
from perdure.tools.registry import Registry
from perdure.tools.runner import Runner
from worker import build_sandboxes


async def main(run: str, calls: str, owner: str, place: str) -> None:
    settings = Settings.load()
    store = Store(create_engine(settings.store_url))
    sandboxes = build_sandboxes(settings, store)
    runner = Runner(store, Registry([execute_shell]), sandboxes, Secrets({}))
    where = Place.model_validate_json(place)
    for number in range(1, int(calls) + 1):
        turn = f"{run}:{number}"
        asked = ActInput(run=run, key=turn, turn=turn, call="c", place=where, owner=owner)
        if await runner.recall(asked) is None:
            await runner.act(asked)
        print(number, flush=True)  # noqa: T201 - what the test waits for
    await sandboxes.release()
    await store.close()


asyncio.run(main(*sys.argv[1:]))
