"""Runs that delegate to others, on a real Temporal server."""

import asyncio
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from perdure.contracts import AgentResult, AgentSpec, Limits, RunStatus
from perdure.store.family import Family
from perdure.testing.replies import call, calls, finish, say, status
from tests.workflows.conftest import Application, clinging
from workflows.agent import AgentWorkflow

BOSS = AgentSpec(name="boss", tools=("delegate", "list_files", "linger"))
HAND = AgentSpec(name="hand", tools=("linger", "cling", "delegate"))


@pytest.fixture
def app(app: Application) -> Application:
    """With a hand that can be delegated to by its name."""
    folder = app.home / "agents"
    folder.mkdir(exist_ok=True)
    tools = ", ".join(HAND.tools or ())
    (folder / "hand.md").write_text(f"---\nmodel: scripted\ntools: [{tools}]\n---\nHelp.\n")
    (folder / "dear.md").write_text("---\nmodel: dear\ntools: []\n---\nHelp.\n")
    return app


def delegate(task: str, **fields: Any) -> Any:
    return call("delegate", **{"agent": "hand", "task": task} | fields)


def told(app: Application, task: str) -> list[str]:
    """What the model was told by calls, in the last request of that task."""
    request = [each for each in app.model.requests if each.task == task][-1]
    return [each["content"] for each in request.messages if each["role"] == "tool"]


async def test_the_answer_of_a_delegated_run_is_the_call_s_result(app: Application) -> None:
    """The child works for itself; the parent is told its whole answer and how it ended."""
    answer = "long answer " * 100
    app.model.follow({"main": [delegate("a part"), finish("ok")], "a part": [finish(answer)]})
    handle = await app.start("main", agent=BOSS)
    result = await handle.result()
    assert (result.status, result.steps) == ("completed", 3)
    (text,) = told(app, "main")
    assert text.startswith(f"{handle.id}.1 ended: completed.")
    assert answer.strip() in text


async def test_runs_delegated_in_one_step_work_at_the_same_time(app: Application) -> None:
    """Each waits for the other to have begun, so one after the other would never end."""
    begun: set[str] = set()

    async def both_have_begun(request: Any) -> None:
        if request.task.startswith("part"):
            begun.add(request.task)
            while len(begun) < 2:
                await asyncio.sleep(0.01)

    app.model.on_request = both_have_begun
    try:
        app.model.follow(
            {
                "main": [calls(delegate("part a"), delegate("part b")), finish("ok")],
                "part": [finish("done")],
            }
        )
        assert (await app.run("main", agent=BOSS)).status == "completed"
    finally:
        app.model.on_request = None


async def test_children_are_seen_under_their_parent(app: Application) -> None:
    """In Temporal as its children, and in the store as the family of the run."""
    app.model.follow(
        {
            "main": [delegate("a part"), finish("ok")],
            "a part": [delegate("its part"), finish("ok")],
            "its part": [finish("ok")],
        }
    )
    handle = await app.start("main", agent=BOSS)
    await handle.result()
    below = await Family(app.store).of(handle.id)
    assert {(each.run.workflow_id, each.run.parent) for each in below} == {
        (f"{handle.id}.1", handle.id),
        (f"{handle.id}.1.1", f"{handle.id}.1"),
    }
    child = await app.client.get_workflow_handle(f"{handle.id}.1").describe()
    assert child.parent_id == handle.id


async def test_a_child_s_budget_is_a_share_of_its_parent_s(app: Application) -> None:
    """Equal parts by default, a stated one if named; what they do not use is there again."""
    app.model.follow(
        {
            "main": [
                calls(delegate("part a"), delegate("part b"), delegate("part c", share=0.5)),
                finish("ok"),
            ],
            "part": [finish("ok")],
        }
    )
    await app.run("main", agent=BOSS, limits=Limits(max_steps=41))
    left = {
        request.task: request.messages[-1]["content"]
        for request in app.model.requests
        if request.place == 0
    }
    assert left["main"] == "Your budget: 41 steps left."
    assert left["part c"] == "Your budget: 20 steps left."
    assert left["part a"] == "Your budget: 6 steps left."
    assert left["part b"] == "Your budget: 7 steps left."
    assert app.model.requests[-1].messages[-1]["content"] == "Your budget: 37 steps left."


async def test_what_a_child_spends_counts_for_its_parent(app: Application) -> None:
    """Steps, tokens and cost of the whole tree stand in the result, as the turns add up to."""
    app.model.follow({"main": [delegate("a part", agent="dear"), say("ok")], "a part": [say("1")]})
    boss = BOSS.model_copy(update={"model": "dear"})
    handle = await app.start("main", agent=boss, model=None, limits=Limits(max_cost_usd=1000))
    result = await handle.result()
    own = await app.store.runs(None)
    tree = [each for each in own if each.run.workflow_id == handle.id]
    tree += await Family(app.store).of(handle.id)
    assert result.usage.cost_usd == sum(each.usage.cost_usd or 0 for each in tree)
    assert result.usage.tokens == sum(each.usage.tokens for each in tree)
    assert result.steps == 3


async def test_a_child_that_ends_without_an_answer_is_told_with_the_reason(
    app: Application,
) -> None:
    """A refused key, an unknown agent, a limit: the parent reads why, and goes on."""
    app.model.follow(
        {
            "main": [
                delegate("a part"),
                delegate("another", agent="nobody"),
                delegate("endless"),
                finish("ok"),
            ],
            "a part": [status(401, "Wrong key.")],
            "endless": lambda request: say("so far") if request.place == 24 else call("list_files"),
        }
    )
    result = await app.run("main", agent=BOSS)
    assert result.status == "completed"
    first, second, third = told(app, "main")
    assert "ended: failed" in first
    assert "Agent 'nobody' is unknown." in second
    assert "no recorded result" not in second
    assert "ended: " in third


async def test_depth_and_fan_out_are_limited(app: Application) -> None:
    """The one too deep is told to do the work itself, and of too many those beyond are refused."""
    app.model.follow(
        {
            "main": [calls(*(delegate(f"part {n}") for n in range(9))), finish("ok")],
            "part 0": [delegate("deeper"), finish("ok")],
            "deeper": [delegate("deepest"), finish("ok")],
            "deepest": [delegate("too deep"), finish("ok")],
            "part": [finish("ok")],
        }
    )
    await app.run("main", agent=BOSS, limits=Limits(max_steps=400))
    assert "too deep in the tree" in told(app, "deepest")[0]
    results = told(app, "main")
    assert sum("ended: completed" in each for each in results) == 8
    assert "at most 8 agents" in results[8]


async def test_cancelling_a_run_cancels_what_it_delegated(app: Application) -> None:
    """It reports only when they are gone, and their tools have stopped."""
    app.model.follow(
        {
            "main": [delegate("a part")],
            "a part": [delegate("its part")],
            "its part": [call("cling", seconds=0.5)],
        }
    )
    handle = await app.start("main", agent=BOSS)
    while not clinging:
        await asyncio.sleep(0.05)
    await handle.cancel()
    assert (await handle.result()).status == "cancelled"
    assert not clinging
    for id in (f"{handle.id}.1", f"{handle.id}.1.1"):
        child: WorkflowHandle[Any, AgentResult] = app.client.get_workflow_handle_for(
            AgentWorkflow.run, id
        )
        assert (await child.describe()).status == WorkflowExecutionStatus.COMPLETED
        assert (await child.result()).status == RunStatus.CANCELLED


async def test_a_child_that_was_terminated_is_told_as_lost(app: Application) -> None:
    """What it has spent is spent, and the parent goes on."""
    app.model.follow(
        {
            "main": [delegate("a part"), finish("ok")],
            "a part": [call("list_files"), call("linger", seconds=30)],
        }
    )
    handle = await app.start("main", agent=BOSS)
    while app.model.served("a part") < 2:
        await asyncio.sleep(0.05)
    await app.client.get_workflow_handle(f"{handle.id}.1").terminate()
    result = await handle.result()
    assert (result.status, result.steps) == ("completed", 4)
    assert "ended without a result" in told(app, "main")[0]


async def test_an_agent_without_a_model_of_its_own_takes_its_parent_s(app: Application) -> None:
    """As a person expects who has chosen the model of the whole."""
    (app.home / "agents" / "plain.md").write_text("---\ntools: []\n---\nHelp.\n")
    app.model.follow(
        {"main": [delegate("a part", agent="plain"), finish("ok")], "a part": [say("1")]}
    )
    handle = await app.start("main", agent=BOSS)
    await handle.result()
    (child,) = await Family(app.store).of(handle.id)
    assert child.run.model == "scripted"
