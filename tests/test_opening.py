"""How a run is opened: what is settled once, and what cannot be."""

from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from perdure.agents import Agents
from perdure.contracts import AgentSpec, Limits, OpenRun
from perdure.errors import PerdureError, StoreError, UnknownAgent
from perdure.model.catalog import Catalog
from perdure.opening import Opening
from perdure.store.store import Store
from perdure.tools.files import TOOLS
from perdure.tools.registry import Registry
from tests.model.turns import make_turn

READER = """---
description: Reads.
model: gpt-4o
limits: {max_steps: 9, max_tokens: 1000}
---
Read.
"""


@pytest_asyncio.fixture
async def opening(store: Store, tmp_path: Path) -> Opening:
    (tmp_path / "reader.md").write_text(READER)
    (tmp_path / "assistant.md").write_text("Help.")
    catalog = Catalog({"OPENAI_API_KEY": "k"}, tmp_path / "models.toml")
    return Opening(store, Agents([tmp_path]), catalog, Registry(TOOLS), max_depth=3, max_children=8)


def _request(run: str = "run", **fields: Any) -> OpenRun:
    request = {"task": "Read  this\nfile."} | fields
    return OpenRun.model_validate({"run": run, "workflow_id": "agent-1", "request": request})


async def test_a_run_is_recorded_with_its_task(opening: Opening, store: Store) -> None:
    """The plan points at the task and previews it on one line."""
    plan = await opening.open(_request(user="me", conversation="c"))
    assert (plan.run, plan.agent, plan.model) == ("run", "assistant", "gpt-5-mini")
    assert (plan.limits, plan.task_preview) == (Limits(max_steps=50), "Read this file.")
    run = await store.find_run("agent-1")
    assert (run.id, run.task, run.user, run.conversation) == ("run", "Read  this\nfile.", "me", "c")
    assert plan.task.id is not None
    task = await store.entry(plan.task.id)
    assert task is not None
    assert (task.kind, task.text) == ("task", "Read  this\nfile.")


async def test_the_request_comes_before_the_agent_before_the_defaults(
    opening: Opening, store: Store
) -> None:
    """For the model and for each limit; the recorded agent is the settled one."""
    plan = await opening.open(_request("a", agent="reader"))
    assert (plan.model, plan.limits) == ("gpt-4o", Limits(max_steps=9, max_tokens=1000))
    asked = _request("b", agent="reader", model="gpt-5", limits={"max_steps": 3})
    plan = await opening.open(asked)
    assert (plan.model, plan.limits) == ("gpt-5", Limits(max_steps=3, max_tokens=1000))
    recorded = AgentSpec.model_validate((await store.run("b")).spec)
    assert (recorded.instructions, recorded.model, recorded.limits.max_steps) == (
        "Read.",
        "gpt-5",
        3,
    )


async def test_opening_twice_gives_the_first_plan(opening: Opening) -> None:
    """A retry finds the run recorded, whatever has changed since."""
    first = await opening.open(_request())
    assert await opening.open(_request(task="Another.", agent="reader")) == first


async def test_an_inline_agent_needs_no_file(opening: Opening) -> None:
    """Its output schema may come with the request."""
    spec = {"name": "mine", "tools": ["read_file"]}
    plan = await opening.open(_request(agent=spec, output_schema={"type": "object"}))
    assert plan.agent == "mine"


async def test_a_task_of_strange_characters_is_stored(opening: Opening, store: Store) -> None:
    """JSON may carry a NUL, which PostgreSQL may not."""
    plan = await opening.open(_request(task="a\0b", user="\0", conversation="\0"))
    assert plan.task_preview == "a\\x00b"
    assert (await store.run("run")).task == "a\\x00b"


async def test_a_run_may_go_on_from_any_turn(opening: Opening, store: Store) -> None:
    """The head is looked up before anything is recorded."""
    await store.keep(make_turn("t-" + 24 * "0"))
    await opening.open(_request(head="t-" + 24 * "0"))
    assert (await store.run("run")).parent_head == "t-" + 24 * "0"
    with pytest.raises(StoreError, match="Turn 't-ffffffffffffffffffffffff' is not in this store"):
        await opening.open(_request("other", head="t-ffffffffffffffffffffffff"))
    assert [summary.run.id for summary in await store.runs(limit=9)] == ["run"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"agent": "reeder"}, "Agent 'reeder' is unknown. Did you mean 'reader'?"),
        ({"agent": {"name": "a", "tools": ["reed_file"]}}, "Tool 'reed_file' is unknown."),
        ({"output_schema": {"type": "objekt"}}, "The output schema is not a valid JSON Schema"),
        ({"model": "mystery", "limits": {"max_cost_usd": 1}}, "The limit of $1.0 cannot be kept"),
    ],
)
async def test_what_cannot_be_settled_leaves_no_run(
    opening: Opening, store: Store, fields: dict[str, Any], message: str
) -> None:
    """The sentence names the value and the cure."""
    with pytest.raises(PerdureError) as caught:
        await opening.open(_request(**fields))
    assert str(caught.value).startswith(message)
    assert await store.runs(limit=9) == []


async def test_a_file_on_the_worker_is_not_read_for_a_request(
    opening: Opening, tmp_path: Path
) -> None:
    """Whoever may start a run may not look into the worker's folders."""
    with pytest.raises(UnknownAgent, match=r"is a file\. Send its contents as an inline spec"):
        await opening.open(_request(agent=str(tmp_path / "reader.md")))


async def test_a_cost_can_be_limited_where_the_price_is_known(opening: Opening) -> None:
    """A published price is enough."""
    plan = await opening.open(_request(model="gpt-4o", limits={"max_cost_usd": 0.5}))
    assert plan.limits.max_cost_usd == 0.5
