"""A team on a real Temporal server, with a scripted model on real HTTP."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError

from perdure.contracts import TASK_QUEUE, Limits
from perdure.teams.contracts import MemberGroup
from perdure.testing.replies import calls, finish, slow
from tests.workflows.conftest import Application
from tests.workflows.teams import (
    asked,
    assign,
    ended,
    group,
    ledger,
    run,
    spec,
    start,
    task,
    text,
    wait,
)
from workflows.team import TeamWorkflow


async def test_a_team_plans_works_and_finishes(app: Application) -> None:
    """The lead assigns, members work in the order of dependencies, and the lead's answer is it."""
    app.model.follow(
        {
            "the goal": [assign("first", task("second", "first")), wait(), finish("All done.")],
            "do first": [finish("one")],
            "do second": [finish("two")],
        }
    )
    result, state = await run(app)
    assert (result.status, result.answer, result.steps) == ("completed", "All done.", 5)
    assert [(each.id, each.status, each.outcome) for each in state.tasks] == [
        ("first", "done", "one"),
        ("second", "done", "two"),
    ]


async def test_members_of_one_kind_work_at_once(app: Application) -> None:
    """Two tasks for a kind are taken by two members of it."""
    app.model.follow(
        {
            "the goal": [assign("first", "second"), wait(), finish("ok")],
            "do first": [slow(0.5, finish("one"))],
            "do second": [slow(0.5, finish("two"))],
        }
    )
    _, state = await run(app)
    assert {each.member for each in state.tasks} == {"worker-1", "worker-2"}


async def test_the_lead_is_shown_the_whole_goal(app: Application) -> None:
    """However long it is: only its beginning crosses the history."""
    app.model.follow([finish("ok")])
    goal = f"the goal {'x' * 5_000} the end"
    await run(app, goal=goal)
    assert goal in text(app.model.requests[0])


async def test_results_are_shown_whole_to_the_lead_and_to_those_who_build_on_them(
    app: Application,
) -> None:
    """They come from the store, each under the name of its task."""
    answer = f"one {'x' * 1_000} end of one"
    app.model.follow(
        {
            "the goal": [assign("first", task("second", "first")), wait(), finish("ok")],
            "do first": [finish(answer)],
            "do second": [finish("two")],
        }
    )
    await run(app)
    (second,) = asked(app, "do second")
    assert "[first, by worker-" in text(second)
    assert answer in text(second)
    assert answer in text(asked(app, "the goal")[-1])


async def test_a_member_keeps_its_memory_from_task_to_task(app: Application) -> None:
    """The next task goes on from the head of the one before."""
    app.model.follow(
        {
            "the goal": [assign("first", task("second", "first")), wait(), finish("ok")],
            "do first": [finish("a secret")],
            "do second": [finish("two")],
        }
    )
    await run(app, spec(members=(group(),)))
    assert "do first" in text(asked(app, "do second")[0])


async def test_a_team_goes_on_from_a_head(app: Application) -> None:
    """Its lead remembers what it did in the team before."""
    app.model.follow({"the first goal": [finish("one")], "the second goal": [finish("two")]})
    earlier, _ = await run(app, goal="the first goal")
    result, _ = await run(app, goal="the second goal", head=earlier.head)
    assert result.answer == "two"
    assert "the first goal" in text(asked(app, "the second goal")[0])


async def test_a_service_needs_only_plain_json(app: Application) -> None:
    """Start, tell, query and await, with the SDK's default converter and no type of ours."""
    app.model.follow(
        {
            "the goal": [assign(task("first", to="coder")), wait(), finish("All done.")],
            "do first": [finish("one")],
        }
    )
    client = await Client.connect(app.client.service_client.config.target_host)
    handle = await client.start_workflow(
        "TeamWorkflow",
        {
            "goal": "the goal",
            "team": {
                "name": "crew",
                "lead": "assistant",
                "members": [
                    {"agent": {"name": "coder"}, "count": 2},
                    {"agent": {"name": "critic"}},
                ],
            },
            "model": "scripted",
        },
        id=f"team-{uuid4().hex[:8]}",
        task_queue="perdure",
    )
    result = await handle.result()
    assert (result["answer"], result["reason"]) == ("All done.", "")
    status = await handle.query("status")
    assert [each["name"] for each in status["members"]] == [
        "assistant",
        "coder-1",
        "coder-2",
        "critic",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [None],
        ["goal"],
        [{}],
        [{"goal": " ", "team": "crew"}],
        [{"goal": "x", "team": {"name": "crew", "lead": "a", "members": []}}],
        [{"goal": "x", "team": {"name": "crew", "lead": "a", "members": ["b", "b"]}}],
        [{"goal": "x", "team": {"name": "crew", "lead": "a", "members": ["b:0"]}}],
        [{"goal": "x", "team": {"name": "crew", "lead": "a:2", "members": ["b"]}}],
        [{"goal": "x", "team": "crew", "teem": 1}],
        [{"goal": "x", "team": "crew"}, {"goal": "y", "team": "crew"}],
    ],
)
async def test_malformed_input_fails_the_workflow_at_once(
    app: Application, arguments: list[Any]
) -> None:
    """It never wedges."""
    handle = await app.client.start_workflow(
        "TeamWorkflow", args=arguments, id=f"team-{uuid4().hex[:8]}", task_queue=TASK_QUEUE
    )
    with pytest.raises(WorkflowFailureError) as failure:
        await asyncio.wait_for(handle.result(), 10)
    assert "TeamRequest" in str(failure.value.cause) or "one JSON object" in str(
        failure.value.cause
    )


@pytest.mark.parametrize(
    ("team", "reason"),
    [
        ("nosuch", "nosuch"),
        (spec(lead=MemberGroup(agent="nosuch")), "nosuch"),
        (spec(limits=Limits(max_cost_usd=1)), "price"),
        (spec(members=(group(limits=Limits(max_cost_usd=1)),)), "price"),
    ],
    ids=["team", "agent", "price", "price of a member"],
)
async def test_a_team_that_cannot_be_opened_says_why(
    app: Application, team: Any, reason: str
) -> None:
    """An unknown team or agent ends it before anything is spent."""
    handle = await start(app, team)
    result = await asyncio.wait_for(handle.result(), 20)
    assert result.status == "failed"
    assert reason in result.reason
    assert not app.model.requests


async def test_what_a_member_asks_beside_its_finish_is_done(app: Application) -> None:
    """Several calls of the lead in one reply are answered in their order."""
    both = calls(assign("first"), assign(task("second", "first")))
    app.model.follow(
        {
            "the goal": [both, wait(), finish("ok")],
            "do first": [finish("one")],
            "do second": [finish("two")],
        }
    )
    handle = await start(app)
    await handle.result()
    state = await handle.query(TeamWorkflow.status)
    assert ended(state) == {"first": "done", "second": "done"}
    assert ledger(state, "second").depends_on == ("first",)
