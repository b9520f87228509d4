"""A tool call as an activity: carried out once, found again afterwards."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.activity import ActivityCancellationDetails
from temporalio.testing import ActivityEnvironment

from activities.act import Act
from perdure.contracts import ActInput, Place
from perdure.sandbox.found import Found
from perdure.sandbox.sandboxes import Sandboxes
from perdure.secrets import Secrets
from perdure.settings import Settings
from perdure.store.store import Store
from perdure.tools.commands import shell
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


@pytest_asyncio.fixture
async def bare(store: Store, tmp_path: Path) -> AsyncIterator[Sandboxes]:
    """Sandboxes of a run whose one call is a command that lasts."""
    await store.keep(make_run("run"))
    command = "echo $$ > pid; sleep 1; echo x >> count; cat count"
    await store.keep(
        make_turn("t", make_call("c", "execute_shell", json.dumps({"command": command})))
    )
    sandboxes = build_sandboxes(Settings(home=tmp_path, sandbox="none"), store)
    yield sandboxes
    await sandboxes.remove(Found("run", "none", "run", "agent-1", "embedded", 0.0))
    await sandboxes.release()


async def test_a_command_outlives_the_end_of_its_worker(
    store: Store, bare: Sandboxes, tmp_path: Path
) -> None:
    """The attempt is cancelled; the next one joins the command, and has all that it printed."""
    act = Act(Runner(store, Registry(shell.TOOLS), bare, Secrets({})))
    await _cancelled(act, tmp_path, ActivityCancellationDetails(worker_shutdown=True))
    seen = await ActivityEnvironment().run(act.act, BARE)
    assert seen.status == "ok"
    assert seen.preview.startswith("x [exit code 0")


async def test_a_cancelled_command_has_ended_when_the_attempt_has(
    store: Store, bare: Sandboxes, tmp_path: Path
) -> None:
    """The run reports only then."""
    act = Act(Runner(store, Registry(shell.TOOLS), bare, Secrets({})))
    pid = await _cancelled(act, tmp_path, ActivityCancellationDetails(cancel_requested=True))
    assert not _is_alive(pid)


BARE = REQUEST.model_copy(update={"place": Place(queue="q", kind="none", name="run")})


def _is_alive(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()


async def _cancelled(act: Act, home: Path, why: ActivityCancellationDetails) -> str:
    """Cancel an attempt whose command has begun; the command's process id."""
    attempt = ActivityEnvironment()
    running = asyncio.ensure_future(attempt.run(act.act, BARE))
    file = home / "sandboxes" / "run" / "workspace" / "pid"
    async with asyncio.timeout(20):
        while not file.exists() or not file.read_text():
            await asyncio.sleep(0.02)
    attempt.cancel(cancellation_details=why)
    with pytest.raises(asyncio.CancelledError):
        await running
    return file.read_text().strip()


async def test_what_a_call_did_is_told_when_its_files_cannot_be_recorded(
    store: Store, tmp_path: Path
) -> None:
    """No further attempt would record them either."""
    workspace = tmp_path / "sandboxes" / "run" / "workspace"

    @tool(replay="idempotent")
    def wreck() -> str:
        """Break the workspace."""
        workspace.rmdir()
        return "Wrecked."

    await store.keep(make_run("run"))
    await store.keep(make_turn("t", make_call("c", "wreck")))
    sandboxes = build_sandboxes(Settings(home=tmp_path), store)
    act = Act(Runner(store, Registry([wreck]), sandboxes, Secrets({})))
    seen = await ActivityEnvironment().run(act.act, REQUEST)
    assert seen.status == "ok"
    assert seen.preview.startswith("Wrecked. [The state of the files could not be recorded:")
