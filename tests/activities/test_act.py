"""A tool call as an activity: carried out once, found again afterwards."""

from pathlib import Path

import pytest_asyncio
from temporalio.testing import ActivityEnvironment

from activities.act import Act
from perdure.contracts import ActInput, Place
from perdure.secrets import Secrets
from perdure.settings import Settings
from perdure.store.store import Store
from perdure.tools.registry import Registry
from perdure.tools.runner import Runner
from perdure.tools.tool import tool
from tests.model.turns import make_call, make_run, make_turn
from worker import build_sandboxes

PLACE = Place(queue="q", kind="folder", name="run")
REQUEST = ActInput(run="run", key="k", turn="t", call="c", place=PLACE)


class Counter:
    """A tool that counts how often it was carried out."""

    def __init__(self) -> None:
        self.count = 0

        @tool(replay="safe")
        def increase() -> str:
            """Count one further."""
            self.count += 1
            return f"It is {self.count}."

        self.tool = increase


@pytest_asyncio.fixture
async def counter(store: Store) -> Counter:
    await store.keep(make_turn("t", make_call("c", "increase")))
    return Counter()


async def test_a_retried_act_returns_the_stored_result(
    store: Store, counter: Counter, tmp_path: Path
) -> None:
    """The tool is carried out by the first attempt, and by no other."""
    await store.keep(make_run("run"))
    sandboxes = build_sandboxes(Settings(home=tmp_path), store)
    act = Act(Runner(store, Registry([counter.tool]), sandboxes, Secrets({})))
    first = await ActivityEnvironment().run(act.act, REQUEST)
    assert (first.status, first.preview) == ("ok", "It is 1.")
    assert await ActivityEnvironment().run(act.act, REQUEST) == first
    assert counter.count == 1
    stored = await store.entry(first.result)
    assert stored is not None
    assert (stored.text, stored.call, stored.tool) == ("It is 1.", "c", "increase")
