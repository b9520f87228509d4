"""One workspace that several runs share: each call counts once, and the files have one history."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from perdure.contracts import CloseSandbox, OpenSandbox, SandboxSpec
from perdure.sandbox.sandbox import Moved
from perdure.settings import Settings
from perdure.store.files import Files
from perdure.store.migrate import migrate
from perdure.store.store import Store
from tests.model.turns import make_run, make_turn
from tests.office import files_of
from tests.sandbox.commons import Commons
from worker import build_sandboxes

CALLS = 8
COUNT = "echo x >> {0}; echo {0}-{1} >> all; sleep 0.1; echo {0}-{1}; wc -l < {0}"


@pytest_asyncio.fixture(params=["none", "bwrap", "docker"])
async def commons(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Commons]:
    image = request.getfixturevalue("docker_image") if request.param == "docker" else None
    store = await Store.open(f"sqlite:///{tmp_path / 'store.db'}")
    await migrate(store.engine)
    commons = Commons(tmp_path, store, SandboxSpec(kind=request.param, image=image))
    await commons.found()
    yield commons
    await commons.close()
    await store.close()


@pytest.mark.slow
async def test_runs_that_share_a_workspace_lose_nothing_when_a_worker_is_killed(
    commons: Commons,
) -> None:
    """Two processes act in it at once; what each call did is there once, in one chain of states."""
    for run in ("left", "right"):
        await commons.join(run, *(COUNT.format(run, number) for number in range(1, CALLS + 1)))
    others = await commons.worker("left", CALLS)
    killed = await commons.worker("right", CALLS)
    assert killed.stdout is not None
    for _ in range(3):
        assert await killed.stdout.readline()
    await asyncio.sleep(0.05)  # the next command is under way, or about to be
    killed.kill()
    again = await commons.worker("right", CALLS)
    assert [await worker.wait() for worker in (others, again)] == [0, 0]

    for run in ("left", "right"):
        results = await commons.results(run)
        assert [row.status for row in results] == ["ok"] * CALLS
        assert [row.text.split()[:2] for row in results] == [
            [f"{run}-{number}", str(number)] for number in range(1, CALLS + 1)
        ]
    chain = await commons.chain()
    assert [row.parent_id for row in chain] == [None, *(row.id for row in chain[:-1])]
    assert {row.run_id for row in chain} == {commons.owner}
    assert {(row.turn_id or "").split(":")[0] for row in chain} == {"left", "right"}
    files = await files_of(commons.store, commons.owner)
    assert sorted(files) == ["all", "left", "right"]
    expected = [f"{run}-{number}" for run in ("left", "right") for number in range(1, CALLS + 1)]
    assert sorted(files["all"].split()) == expected


class Machine:
    """One of several that have the same store."""

    def __init__(self, home: Path, store: Store) -> None:
        self.home = home
        self.sandboxes = build_sandboxes(Settings(home=home), store)

    async def write(self, opening: OpenSandbox, name: str) -> None:
        """Have a turn of a member make a file in the team's workspace, which is opened here."""
        place = await self.sandboxes.open(opening)
        sandbox = await self.sandboxes.at("team", place)
        await sandbox.operate("write_file", {"path": name, "key": name}, name.encode())
        await self.sandboxes.save("team", place, sandbox, f"turn-{name}", name)


@pytest_asyncio.fixture
async def machines(store: Store, tmp_path: Path) -> AsyncIterator[tuple[Machine, Machine]]:
    await store.keep(make_run("team"))
    machines = Machine(tmp_path / "one", store), Machine(tmp_path / "two", store)
    yield machines
    for machine in machines:
        await machine.sandboxes.release()


OPEN = OpenSandbox(run="team", workflow_id="team-1", executes=False)


async def test_a_workspace_that_was_taken_for_lost_does_not_undo_what_came_after_it(
    machines: tuple[Machine, Machine], store: Store
) -> None:
    """Its machine is there again, and a member that heard of nothing goes on in it."""
    one, two = machines
    await one.write(OPEN, "a")
    lost = await one.sandboxes.open(OPEN)
    stale = await one.sandboxes.at("team", lost)
    await two.write(OPEN.model_copy(update={"earlier": lost}), "b")
    with pytest.raises(Moved, match="team has moved to another machine"):
        await one.sandboxes.save("team", lost, stale, "turn-c", "c")
    with pytest.raises(Moved, match="Nothing can be done in it any more"):
        await one.sandboxes.at("team", lost)
    assert await files_of(store, "team") == {"a": "a", "b": "b"}
    await one.write(OPEN.model_copy(update={"earlier": lost}), "c")  # as when a run is reset
    assert await files_of(store, "team") == {"a": "a", "b": "b", "c": "c"}


async def test_a_workspace_counts_until_another_is_used(
    machines: tuple[Machine, Machine], store: Store
) -> None:
    """A machine that was lost while it opened one is not where the team went."""
    one, two = machines
    await one.write(OPEN, "a")
    place = await one.sandboxes.open(OPEN)
    elsewhere = OPEN.model_copy(update={"earlier": place})
    await two.sandboxes.open(elsewhere)
    await one.write(elsewhere, "b")
    assert await files_of(store, "team") == {"a": "a", "b": "b"}


async def test_who_continues_from_the_leads_head_has_the_teams_files(
    machines: tuple[Machine, Machine], store: Store
) -> None:
    """Though the lead may have written none; from a member's head, as that one left them."""
    lead, first, second = (
        make_turn("turn-lead", run_id="lead"),
        make_turn("turn-a", run_id="member"),
        make_turn("turn-b", run_id="member", parent_id="turn-a", step=2),
    )
    for run in ("lead", "member"):
        member = make_run(run)
        member.team = "agent-team"
        await store.keep(member)
    await store.keep(lead, first, second)
    machine = machines[0]
    await machine.write(OPEN, "a")
    await machine.write(OPEN, "b")
    place = await machine.sandboxes.open(OPEN)
    await machine.sandboxes.close(CloseSandbox(run="team", place=place, head="turn-lead"))
    files = Files(store)
    for head, names in (("turn-lead", {"a", "b"}), ("turn-a", {"a"}), ("turn-b", {"a", "b"})):
        assert set(await files.entries(await files.before(head))) == names
    assert await files_of(store, "team") == {"a": "a", "b": "b"}
