"""A team's purse: what its runs may spend, what they spent, and how they end when it is empty."""

import math

import pytest

from perdure.contracts import AgentSpec, Limits
from perdure.store.family import Family
from perdure.store.tables import Turn
from perdure.teams.contracts import MemberGroup, Supervision
from perdure.testing.replies import call, calls, finish, say, slow, status
from tests.workflows.conftest import Application
from tests.workflows.teams import (
    Handle,
    asked,
    assign,
    ended,
    group,
    ledger,
    run,
    spec,
    start,
    state,
    text,
    until,
    wait,
)


async def spent_by_turns(app: Application, handle: Handle) -> tuple[int, int, float]:
    """By all runs of the team: turns, tokens and dollars, as the store has them."""
    runs = await Family(app.store).of(handle.id)
    news = [row for each in runs for row in await app.store.news(each.run.id, None)]
    turns = [row for row in news if isinstance(row, Turn)]
    return (
        len(turns),
        sum(turn.input_tokens + turn.output_tokens for turn in turns),
        sum(turn.cost_usd or 0 for turn in turns),
    )


async def test_the_purse_adds_up_to_what_the_store_has(app: Application) -> None:
    """Also with a member that failed, and one that was stopped while its model answered."""
    app.model.follow(
        {
            "the goal": [assign("a", "b"), wait(), finish("ok")],
            "do a": [
                call("list_files"),
                [status(401), call("send_message", to="chief", text="x")],
                finish("a"),
            ],
            "do b": [call("list_files"), slow(2, call("list_files")), finish("b")],
        }
    )
    handle = await start(app, spec(limits=Limits(max_cost_usd=1000)), model="dear")
    await until(lambda: len(asked(app, "do b")) == 2)
    working = await state(handle)
    member = next(each for each in working.members if each.task == "b")
    await app.client.get_workflow_handle(member.workflow_id).cancel()
    result = await handle.result()
    turns, tokens, cost = await spent_by_turns(app, handle)
    assert (result.steps, result.usage.tokens) == (turns, tokens)
    assert math.isclose(result.usage.cost_usd or 0, cost, abs_tol=1e-9)
    final = await state(handle)
    assert sum(each.spent.steps for each in final.members) == result.steps
    assert all(each.spent == each.settled for each in final.members)


async def test_a_run_gets_a_share_and_returns_what_it_does_not_spend(app: Application) -> None:
    """Each is told of its own, and the lead of what is neither spent nor reserved."""
    app.model.follow(
        {
            "the goal": [
                assign("a", "b"),
                call("linger", seconds=0.5),
                call("list_tasks"),
                wait(),
                finish("ok"),
            ],
            "do a": [call("linger", seconds=1.5), finish("a")],
            "do b": [call("linger", seconds=1.5), finish("b")],
        }
    )
    await run(app, spec(limits=Limits(max_steps=100)))
    assert "Your budget: 25 steps left." in text(asked(app, "do a")[0])
    assert "Your budget: 25 steps left." in text(asked(app, "do b")[0])
    lead = [text(each) for each in asked(app, "the goal")]
    assert "The team's budget: 25 steps neither spent" in lead[3]
    assert "The team's budget: 71 steps neither spent" in lead[4]


async def test_a_budget_that_ends_lets_members_end_and_the_lead_hand_over(app: Application) -> None:
    """Tasks fail for want of it at once, what was done is kept, and the lead is told all of it."""
    steps = [call("linger", seconds=n / 100) for n in range(20)]
    app.model.follow(
        {
            "the goal": [assign("a", "b", "c"), wait(), finish("what there is")],
            "do a": [finish("all of a")],
            "do b": [*steps, *steps],
            "do c": [*steps, *steps],
        }
    )
    team = spec(
        members=(group(),),
        limits=Limits(max_steps=16),
        supervision=Supervision(max_restarts=20),
    )
    result, final = await run(app, team)
    assert (result.status, result.answer) == ("completed", "what there is")
    assert ended(final) == {"a": "done", "b": "failed", "c": "failed"}
    assert "budget is used up" in ledger(final, "c").outcome
    assert ledger(final, "b").run is not None
    assert "all of a" in text(asked(app, "the goal")[-1])
    assert result.steps <= 16


async def test_a_lead_out_of_steps_has_the_others_end_and_hands_over(app: Application) -> None:
    """Members say their last words, even where they wait, and the lead sees them in its own."""
    app.model.follow(
        {
            "the goal": [assign("a", "b"), call("linger", seconds=1), say("What there is.")],
            "do a": [call("wait", seconds=600), say("half of a")],
            "do b": [call("linger", seconds=2), say("half of b")],
        }
    )
    handle = await start(app, spec(lead=group("chief", limits=Limits(max_steps=2))))
    result = await handle.result()
    assert (result.status, result.answer) == ("out_of_steps", "What there is.")
    assert ended(await state(handle)) == {"a": "failed", "b": "failed"}
    last = text(asked(app, "the goal")[-1])
    assert "half of a" in last
    assert "half of b" in last
    assert "No tool can be called any more" in text(asked(app, "do a")[-1])


async def test_time_ends_a_team_as_it_ends_a_run(app: Application) -> None:
    """Members and lead end gracefully, and the lead has the last word."""
    app.model.follow(
        {
            "the goal": [assign("a"), wait(), say("What there is.")],
            "do a": [call("wait", seconds=600), say("half of a")],
        }
    )
    result, _ = await run(app, spec(limits=Limits(max_minutes=0.05)))
    assert (result.status, result.answer) == ("out_of_time", "What there is.")
    assert "half of a" in text(asked(app, "the goal")[-1])


@pytest.mark.parametrize("steps", [1, 3])
async def test_a_small_purse_is_enough_for_the_lead(app: Application, steps: int) -> None:
    """A share that would be less than a step is one."""
    app.model.follow([finish("ok")])
    result, _ = await run(app, spec(limits=Limits(max_steps=steps)))
    assert (result.status, result.steps) == ("completed", 1)


async def test_a_lead_that_has_spent_more_than_all_leaves_nothing_for_members(
    app: Application,
) -> None:
    """No limit can stop a think under way; once it is known, no member is started on credit."""
    app.model.follow({"the goal": [assign("a", "b"), say("Too dear.")], "do": [finish("ok")]})
    result, final = await run(app, spec(limits=Limits(max_tokens=100)))
    assert (result.status, result.answer) == ("out_of_budget", "Too dear.")
    assert ended(final) == {"a": "failed", "b": "failed"}
    assert "budget is used up" in ledger(final, "a").outcome
    assert not asked(app, "do")


async def test_what_a_member_delegates_is_spent_by_the_team(app: Application) -> None:
    """A member that delegates spends of its own share."""
    app.model.follow(
        {
            "the goal": [assign("a"), wait(), finish("ok")],
            "do a": [
                calls(*(call("delegate", agent="assistant", task="below") for _ in range(2))),
                finish("a"),
            ],
            "below": [finish("deep")],
        }
    )
    delegating = AgentSpec(name="worker", tools=("delegate",))
    handle = await start(app, spec(members=(MemberGroup(agent=delegating),)))
    assert (await handle.result()).steps == 7
