"""Where tools work: in the run's own place, or in that of its team."""

import asyncio

import pytest
from temporalio.exceptions import ApplicationError

from perdure.contracts import AgentRequest, Entry, Limits, Origin, Place, RunPlan, Seat
from perdure.sandbox.reaper import reap
from perdure.settings import Settings
from perdure.testing.replies import call, finish, say
from tests.workflows.conftest import Application
from tests.workflows.teams import assign, run, spec, start, task, text, until, wait
from worker import build_sandboxes
from workflows.lodging import Guest, Lodging, lodge, lost

PLACE = Place(queue="q", kind="none", name="team-run")
PLAN = RunPlan(
    run="own",
    agent="a",
    model="m",
    limits=Limits(),
    task=Entry(kind="task", id="e"),
    task_preview="task",
)


def _request(seat: Seat | None) -> AgentRequest:
    origin = Origin(parent="team-1", depth=1, seat=seat) if seat else None
    return AgentRequest(task="task", origin=origin)


def test_a_run_has_a_place_of_its_own_unless_its_team_has_one_for_all() -> None:
    """A seat alone does not make it a guest."""
    seat = Seat(member="worker", kind="worker")
    assert isinstance(lodge(_request(None), PLAN), Lodging)
    assert isinstance(lodge(_request(seat), PLAN), Lodging)
    shared = seat.model_copy(update={"commons": "team-run", "place": PLACE})
    guest = lodge(_request(shared), PLAN)
    assert isinstance(guest, Guest)
    assert (guest.owner, guest.at) == ("team-run", None)


def test_a_guest_ends_when_the_place_is_lost() -> None:
    """The team is told by the reason which place it was, and opens the workspace again."""
    with pytest.raises(ApplicationError) as failure:
        Guest("team-run", PLACE).leave(PLACE)
    assert failure.value.message == lost(PLACE) != lost(PLACE.model_copy(update={"name": "2"}))


async def test_members_work_on_the_same_files(app: Application) -> None:
    """What one wrote the others read; it is the team's, and no place is left of anybody."""
    app.model.follow(
        {
            "the goal": [
                call("execute_shell", command="echo lead > file"),
                assign("first", task("second", "first")),
                wait(),
                call("read_file", path="file"),
                finish("ok"),
            ],
            "do first": [call("execute_shell", command="echo first >> file"), finish("one")],
            "do second": [call("execute_shell", command="echo second >> file"), finish("two")],
        }
    )
    result, _ = await run(app, spec(shared_workspace=True))
    assert result.status == "completed", result
    assert "lead\nfirst\nsecond" in text(app.model.requests[-1])
    runs = {each.run.id: each.run for each in await app.store.runs(4)}
    owners = [each for each in runs.values() if each.workflow_id.count(".") == 0]
    assert await app.files(owners[0].id) == {"file": "lead\nfirst\nsecond\n"}
    assert [await app.files(each) for each in runs if each != owners[0].id] == [{}, {}, {}]
    assert not any((app.home / "sandboxes" / each).exists() for each in runs)
    app.model.follow([*[say("")] * 4, call("read_file", path="file"), finish("ok")])
    follower = await app.start(head=result.head)
    await follower.result()
    assert "second" in text(app.model.requests[-1])
    assert set(await app.files((await app.store.find_run(follower.id)).id)) == {"file"}


async def test_a_shared_workspace_is_kept_for_as_long_as_its_team(app: Application) -> None:
    """A reaper asks Temporal for the team, whoever works there."""
    app.model.follow([call("execute_shell", command="touch here; sleep 600"), finish("never")])
    handle = await start(app, spec(shared_workspace=True))
    box = app.home / "sandboxes" / str(handle.first_execution_run_id)
    await until((box / "workspace/here").exists)
    sandboxes = build_sandboxes(Settings(home=app.home, sandbox="none"), app.store)
    client = app.client
    assert await reap(client, sandboxes, lambda found: found.name == box.name) == []
    lead = client.get_workflow_handle(f"{handle.id}.chief.1")
    await asyncio.gather(handle.terminate(), lead.terminate())
    (removed,) = await reap(client, sandboxes, lambda found: found.name == box.name)
    assert (removed.run, removed.workflow_id) == (box.name, handle.id)
    assert not box.exists()
    await sandboxes.release()
