"""Carrying out one tool call: once, or with an honest word that its outcome is unknown."""

import logging
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy.exc import OperationalError

from perdure.contracts import ActInput, LiveOutput, Observation, Place, SandboxSpec
from perdure.errors import OutcomeUnknown, ToolError
from perdure.sandbox.files.checkpoints import Checkpoints
from perdure.sandbox.folder import Folder
from perdure.sandbox.host.folders import Folders
from perdure.sandbox.sandbox import SandboxError, SandboxLost
from perdure.sandbox.sandboxes import Sandboxes
from perdure.secrets import Secrets
from perdure.store.files import Files
from perdure.store.store import Store
from perdure.store.tables import StoredEntry
from perdure.teams.room import Room
from perdure.tools.files import read_file, write_file
from perdure.tools.registry import Registry
from perdure.tools.runner import RESULT_CHARACTERS, Runner
from perdure.tools.tool import Replay, Tool, ToolContext, tool
from tests.model.turns import make_call, make_run, make_turn

KEY = "sk-0123456789abcdef"


class Closing(Folders):
    """Folders that cannot be had any more once `problem_of_opening` is set."""

    problem_of_opening: Exception | None = None

    async def open(self, name: str, spec: SandboxSpec, details: dict[str, str]) -> Folder:
        if self.problem_of_opening is not None:
            raise self.problem_of_opening
        return await super().open(name, spec, details)


class Office:
    """A run whose calls are carried out by a runner of any number of workers."""

    def __init__(self, store: Store, root: Path) -> None:
        self.store = store
        self.backend = Closing(root)
        self._root = root
        self._place = Place(queue="q", kind="folder", name="run")

    def runner(self, *tools: Tool) -> Runner:
        """That of a new worker."""
        sandboxes = Sandboxes(
            self.store,
            Checkpoints(self.store),
            {"folder": self.backend},
            machine="m",
            cluster="c",
            kind="auto",
            locks=self._root,
        )
        return Runner(self.store, Registry(tools), sandboxes, Secrets({"A_KEY": KEY}))

    async def request(self, tool: str, arguments: str = "{}") -> ActInput:
        """A call that a turn asks for."""
        await self.store.keep(make_turn(tool, make_call("c", tool, arguments)))
        return ActInput(run="run", key=f"k-{tool}", turn=tool, call="c", place=self._place)

    async def text(self, observation: Observation) -> str:
        return (await self.stored(observation)).text

    async def stored(self, observation: Observation) -> StoredEntry:
        entry = await self.store.entry(observation.result)
        assert entry is not None
        return entry


@pytest_asyncio.fixture
async def office(store: Store, tmp_path: Path) -> Office:
    await store.keep(make_run("run"))
    return Office(store, tmp_path)


class Attempts:
    """A tool that raises what it is given, attempt by attempt, and then has a result."""

    def __init__(self, replay: Replay, *problems: Exception) -> None:
        self.count = 0

        @tool(replay=replay)
        def attempt(context: ToolContext) -> str:
            """Try."""
            self.count += 1
            if self.count <= len(problems):
                raise problems[self.count - 1]
            return f"Attempt {self.count}."

        self.tool = attempt


async def test_an_unsafe_call_whose_worker_was_lost_is_not_repeated(office: Office) -> None:
    """The next worker says when it began, and that nobody knows how it ended."""
    attempts = Attempts("unsafe", SandboxLost("gone"))
    request = await office.request("attempt")
    with pytest.raises(SandboxLost):
        await office.runner(attempts.tool).act(request)
    seen = await office.runner(attempts.tool).act(request)
    assert (seen.status, attempts.count) == ("unknown", 1)
    assert "The outcome is unknown. The call began at " in await office.text(seen)


async def test_an_unsafe_call_that_has_not_begun_is_not_called_unknown(office: Office) -> None:
    """A sandbox that could not be reached at first is tried again."""
    attempts = Attempts("unsafe")
    request = await office.request("attempt")
    runner = office.runner(attempts.tool)
    office.backend.problem_of_opening = SandboxLost("not now")
    with pytest.raises(SandboxLost):
        await runner.act(request)
    office.backend.problem_of_opening = None
    assert (await runner.act(request)).preview == "Attempt 1."


@pytest.mark.parametrize("replay", ["safe", "idempotent"])
async def test_any_other_call_is_repeated(office: Office, replay: Replay) -> None:
    """By the next attempt, and under the same key."""
    attempts = Attempts(replay, SandboxLost("gone"))
    request = await office.request("attempt")
    runner = office.runner(attempts.tool)
    with pytest.raises(SandboxLost):
        await runner.act(request)
    assert (await runner.act(request)).preview == "Attempt 2."


async def test_without_its_sandbox_a_call_that_has_not_begun_is_an_error(office: Office) -> None:
    """The model is told why."""
    office.backend.problem_of_opening = SandboxError("No engine.")
    seen = await office.runner(Attempts("unsafe").tool).act(await office.request("attempt"))
    assert (seen.status, seen.preview) == ("error", "No engine.")


@pytest.mark.parametrize("replay", ["idempotent", "unsafe"])
async def test_without_its_sandbox_a_call_that_has_begun_is_unknown(
    office: Office, replay: Replay
) -> None:
    """Whether the tool marked its beginning or the runner did."""

    @tool(replay=replay)
    async def begin(context: ToolContext) -> str:
        """Begin."""
        if replay == "idempotent":
            await context.begin({"incarnation": "1"})
        raise SandboxLost("gone")

    request = await office.request("begin")
    with pytest.raises(SandboxLost):
        await office.runner(begin).act(request)
    office.backend.problem_of_opening = SandboxError("No engine.")
    seen = await office.runner(begin).act(request)
    assert seen.status == "unknown"
    assert "cannot be had any more: No engine. It was not repeated." in await office.text(seen)


@pytest.mark.parametrize(
    ("problem", "status", "text"),
    [
        (ToolError("Give a path."), "error", "Give a path."),
        (OutcomeUnknown("It may have arrived."), "unknown", "It may have arrived."),
        (ValueError("odd"), "error", "attempt failed: ValueError: odd"),
    ],
)
async def test_what_a_tool_raises_is_its_result(
    office: Office,
    caplog: pytest.LogCaptureFixture,
    problem: Exception,
    status: str,
    text: str,
) -> None:
    """What nobody foresaw is in the log as well."""
    runner = office.runner(Attempts("safe", problem).tool)
    with caplog.at_level(logging.WARNING):
        seen = await runner.act(await office.request("attempt"))
    assert (seen.status, await office.text(seen)) == (status, text)
    assert bool(caplog.records) is isinstance(problem, ValueError)


async def test_a_store_that_fails_is_not_the_tools_fault(office: Office) -> None:
    """It is worth another attempt."""
    attempts = Attempts("safe", OperationalError("SELECT", {}, Exception("locked")))
    with pytest.raises(OperationalError):
        await office.runner(attempts.tool).act(await office.request("attempt"))


async def test_a_tool_that_this_worker_lacks_is_an_error(office: Office) -> None:
    """As after a change of what is installed."""
    seen = await office.runner().act(await office.request("nothing"))
    assert (seen.status, seen.preview) == ("error", "This worker has no tool 'nothing' any more.")


async def test_secrets_are_in_no_result(office: Office) -> None:
    """Neither in the store nor in what the workflow gets."""
    request = await office.request("write_file", f'{{"path": "a", "content": "{KEY}"}}')
    reading = await office.request("read_file", '{"path": "a"}')
    runner = office.runner(write_file, read_file)
    await runner.act(request)
    seen = await runner.act(reading)
    assert "[A_KEY]" in seen.preview
    assert KEY not in await office.text(seen)


async def test_of_a_long_result_the_store_keeps_the_beginning(office: Office) -> None:
    """And how much it dropped."""

    @tool(replay="safe")
    def talk() -> str:
        """Talk."""
        return "x" * (RESULT_CHARACTERS + 7)

    stored = await office.stored(await office.runner(talk).act(await office.request("talk")))
    assert (len(stored.text), stored.dropped) == (RESULT_CHARACTERS, 7)


async def test_a_state_is_recorded_after_what_may_have_changed_files(
    office: Office, store: Store
) -> None:
    """A call that only reads leaves none."""
    runner = office.runner(write_file, read_file)
    await runner.act(await office.request("read_file", '{"path": "a"}'))
    assert await Files(store).last("run") is None
    await runner.act(await office.request("write_file", '{"path": "a", "content": "x"}'))
    assert set(await Files(store).entries(await Files(store).last("run"))) == {"a"}


@pytest.mark.parametrize("team", [None, "team-1"])
async def test_a_member_of_a_team_reaches_its_room(
    office: Office, store: Store, team: str | None
) -> None:
    """A run outside of any team has none."""
    rooms: list[Room | None] = []

    @tool(replay="safe")
    def look(context: ToolContext) -> str:
        """Look."""
        rooms.append(context.room)
        return "Seen."

    member = make_run("members-run").model_copy(update={"team": team, "member": "coder-1"})
    await store.keep(member)
    request = (await office.request("look")).model_copy(update={"run": member.id})
    await office.runner(look).act(request)
    (room,) = rooms
    assert (room and (room.run, room.team, room.member)) == (
        team and ("members-run", "team-1", "coder-1")
    )


async def test_what_is_printed_is_seen_while_it_is_printed(office: Office) -> None:
    """And no longer than that: then the result has it."""
    request = await office.request("talk")
    seen: list[Any] = []

    @tool(replay="safe")
    def talk(context: ToolContext) -> str:
        """Talk."""
        context.show(b"Hello.")
        seen.append(runner.printed(request))
        return "Hello."

    runner = office.runner(talk)
    await runner.act(request)
    assert seen == [LiveOutput(call="c", total=6, tail="Hello.")]
    assert runner.printed(request) is None
