"""Members that fail, hang, are cancelled or terminated: who goes on, from where, with what."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from perdure.contracts import Limits
from perdure.model.transcript import LOST
from perdure.store.tables import StoredEntry
from perdure.teams.contracts import Supervision
from perdure.testing.replies import call, calls, finish, hang, status
from tests.workflows.conftest import Application
from tests.workflows.teams import (
    asked,
    assign,
    ended,
    group,
    ledger,
    places,
    run,
    spec,
    start,
    state,
    task,
    text,
    until,
    wait,
)
from workflows.agent import AgentWorkflow

REFUSED = status(401, "Incorrect key.")


def one(**rules: Any) -> Any:
    """A team with one worker."""
    return spec(members=(group(),), supervision=Supervision(**rules))


@pytest.fixture
def quick_rolls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A roll call twice a second."""
    monkeypatch.setattr("workflows.team.BETWEEN_ROLL_CALLS", timedelta(seconds=0.5))


async def test_a_member_that_fails_goes_on_from_its_last_turn(app: Application) -> None:
    """It fails at step 5 of 6 and resumes there: it does nothing again, and knows the results."""
    writes = [call("write_file", path=f"{n}.txt", content="x") for n in range(4)]
    app.model.follow(
        {
            "the goal": [assign("first"), wait(), finish("ok")],
            "do first": [*writes, [REFUSED, call("list_files")], finish("done")],
        }
    )
    result, state = await run(app, one())
    assert (result.status, result.steps) == ("completed", 9)
    assert places(app, "do first") == [0, 1, 2, 3, 4, 4, 5]
    resumed = asked(app, "do first")[5]
    assert "Your run was ended: failed: " in text(resumed)
    assert "No result of this call is known" not in text(resumed)
    assert "0.txt\n1.txt\n2.txt\n3.txt" in text(asked(app, "do first")[6])
    worker = state.members[1]
    assert (worker.runs, worker.restarts, len(worker.failures)) == (2, 1, 1)


async def test_a_member_that_fails_before_its_task_was_shown_is_shown_it(app: Application) -> None:
    """Its memory of the task before is no reason to think that it knows this one."""
    app.model.follow(
        {
            "the goal": [assign("first", task("second", "first")), wait(), finish("ok")],
            "do first": [finish("one")],
            "do second": [[REFUSED, finish("two")]],
        }
    )
    _, state = await run(app, one())
    assert ended(state) == {"first": "done", "second": "done"}
    assert "do first" in text(asked(app, "do second")[-1])


async def test_a_member_that_is_out_leaves_its_task_to_another(app: Application) -> None:
    """The lead that waits is told, and can send it no message any more."""
    app.model.follow(
        {
            "the goal": [
                assign("first"),
                wait(),
                calls(call("send_message", to="worker-1", text="hi"), wait()),
                finish("ok"),
            ],
            "do first": [call("list_files"), [REFUSED, call("linger", seconds=1)], finish("done")],
        }
    )
    _, state = await run(app, spec(supervision=Supervision(max_restarts=0)))
    done = ledger(state, "first")
    assert (done.status, done.member, done.lost) == ("done", "worker-2", ("worker-1",))
    assert [each.standing for each in state.members] == ["free", "out", "free"]
    lead = asked(app, "the goal")
    assert "worker-1 is out" in text(lead[2])
    assert "worker-1 has been put out of the team" in text(lead[3])


async def test_when_all_of_a_kind_are_out_the_lead_gets_the_reasons(app: Application) -> None:
    """Nothing waits for anybody who will not come."""
    app.model.follow(
        {
            "the goal": [assign("first", task("second", "first")), wait(), finish("ok")],
            "do first": [REFUSED],
        }
    )
    result, state = await run(app, one(max_restarts=1))
    assert (result.status, ended(state)) == ("completed", {"first": "failed", "second": "failed"})
    assert places(app, "do first") == [0, 0]
    shown = text(asked(app, "the goal")[-1])
    assert "worker is out" in shown
    assert "needs 'first', which failed" in shown
    assert "No worker is left" in shown


@pytest.mark.parametrize(
    ("strategy", "restarts"),
    [("one_for_one", [0, 1, 0]), ("one_for_all", [1, 1, 1]), ("rest_for_one", [0, 1, 1])],
)
async def test_a_strategy_restarts_those_at_work_from_their_last_turns(
    app: Application, strategy: str, restarts: list[int]
) -> None:
    """They do nothing again but what they were at."""
    app.model.follow(
        {
            "the goal": [
                assign(*(task(each, to=each) for each in ("a", "b", "c"))),
                wait(),
                finish("ok"),
            ],
            **{
                f"do {each}": [call("list_files"), call("linger", seconds=2), finish(each)]
                for each in ("a", "c")
            },
            "do b": [call("linger", seconds=1), [REFUSED, finish("b")]],
        }
    )
    rules = Supervision.model_validate({"strategy": strategy})
    members = tuple(group(each) for each in ("a", "b", "c"))
    _, state = await run(app, spec(members=members, supervision=rules))
    assert [each.restarts for each in state.members] == [0, *restarts]
    assert ended(state) == {"a": "done", "b": "done", "c": "done"}
    assert places(app, "do a") == places(app, "do c") == [0, 1, 2]


@pytest.mark.parametrize(
    ("limits", "steps", "reason"),
    [
        (Limits(max_steps=2), [call("list_files")] * 3, "out_of_steps: The run ended because"),
        (Limits(), [call("nosuch")] * 8, "stuck: The run ended because"),
    ],
    ids=["out of steps", "stuck"],
)
async def test_a_member_that_ends_without_an_answer_goes_on_and_knows_why(
    app: Application, limits: Limits, steps: list[Any], reason: str
) -> None:
    """It counts as failed, and its last words are part of what it remembers."""
    many = len(steps) + 1
    app.model.follow(
        {
            "the goal": [assign("first"), wait(), finish("ok")],
            "do first": [*steps[: limits.max_steps or many], finish("so far"), finish("done")],
        }
    )
    team = spec(members=(group(limits=limits),))
    _, state = await run(app, team)
    assert ledger(state, "first").outcome == "done"
    assert state.members[1].restarts == 1
    assert reason in text(asked(app, "do first")[-1])


def _is_result(row: object) -> bool:
    return isinstance(row, StoredEntry) and row.kind == "result"


async def test_a_member_whose_run_a_person_cancels_is_restarted(app: Application) -> None:
    """What it was at is stopped, and what it had done by then is known."""
    both = calls(call("list_files"), call("linger", seconds=30))
    app.model.follow(
        {
            "the goal": [assign("first"), wait(), finish("ok")],
            "do first": [both, finish("done")],
        }
    )
    handle = await start(app, one())
    await until(lambda: bool(asked(app, "do first")))
    member = app.client.get_workflow_handle_for(AgentWorkflow.run, f"{handle.id}.worker.1")
    working = await app.store.find_run(member.id)
    while not [row for row in await app.store.news(working.id, None) if _is_result(row)]:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    await member.cancel()
    assert (await handle.result()).status == "completed"
    resumed = asked(app, "do first")[1]
    assert "cancelled: The run was cancelled." in text(resumed)
    assert [each["content"] for each in resumed.messages if each["role"] == "tool"] == [
        "[The folder is empty.]",
        LOST,
    ]
    assert (await state(handle)).members[1].restarts == 1


@pytest.mark.usefixtures("quick_rolls")
async def test_a_member_whose_run_is_terminated_is_restarted(app: Application) -> None:
    """It can report nothing: a roll call finds it, and what it spent."""
    app.model.follow(
        {
            "the goal": [assign("first"), wait(), finish("ok")],
            "do first": [call("list_files"), [hang(), finish("done")]],
        }
    )
    handle = await start(app, one())
    await until(lambda: len(asked(app, "do first")) == 2)
    await app.client.get_workflow_handle(f"{handle.id}.worker.1").terminate()
    result = await handle.result()
    assert (result.status, result.steps) == ("completed", 5)
    assert places(app, "do first") == [0, 1, 1]
    assert "Its run was terminated." in text(asked(app, "do first")[-1])


@pytest.mark.usefixtures("quick_rolls")
async def test_a_member_that_hangs_is_restarted(app: Application) -> None:
    """It has recorded nothing for longer than the rules allow."""
    app.model.follow(
        {
            "the goal": [assign("first"), wait(), finish("ok")],
            "do first": [call("list_files"), [hang(), finish("done")]],
        }
    )
    result, state = await run(app, one(silence_minutes=0.03))
    assert result.status == "completed"
    assert state.members[1].restarts == 1
    assert "it has recorded nothing for" in text(asked(app, "do first")[-1])


async def test_a_lead_that_fails_is_restarted_and_knows_how_its_tasks_stand(
    app: Application,
) -> None:
    """It goes on from its last turn: nothing is assigned twice."""
    app.model.follow(
        {
            "the goal": [assign("first"), wait(), [REFUSED, finish("ok")]],
            "do first": [finish("one")],
        }
    )
    result, state = await run(app, one())
    assert (result.status, result.answer) == ("completed", "ok")
    assert places(app, "the goal") == [0, 1, 2, 2]
    shown = text(asked(app, "the goal")[-1])
    assert "Your run was ended: failed: " in shown
    assert "[first, by worker]\ncompleted\none" in shown
    assert "No result of this call is known" not in shown
    assert state.members[0].restarts == 1


async def test_a_lead_that_fails_too_often_fails_the_team(app: Application) -> None:
    """With its reason, and when all members have ended."""
    app.model.follow(
        {
            "the goal": [
                assign({"id": "first", "task": f"{'x' * 300} do first", "to": "worker"}),
                wait(),
                REFUSED,
            ],
            "do first": [call("send_message", to="chief", text="hi"), call("linger", seconds=30)],
        }
    )
    handle = await start(app, one(max_restarts=1))
    result = await handle.result()
    assert result.status == "failed"
    assert "OPENAI_API_KEY" in result.reason
    assert places(app, "the goal") == [0, 1, 2, 2]
    member = await app.client.get_workflow_handle(f"{handle.id}.worker.1").describe()
    assert member.close_time is not None
