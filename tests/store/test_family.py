"""The runs below a run, and what they recorded together, on both databases."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import SQLModel

from perdure.contracts import AgentResult, RunStatus, Usage
from perdure.store.family import Family
from perdure.store.packing import pack
from perdure.store.store import Store
from perdure.store.tables import Checkpoint, Claim, Run, StoredEntry
from tests.model.turns import make_turn

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def _run(workflow_id: str, parent: str | None = None, *, minute: int = 0, **fields: Any) -> Run:
    given = {"id": f"run of {workflow_id}", "agent": "a", "model": "m", "spec": {}, "task": "t"}
    own = {"workflow_id": workflow_id, "parent": parent, "created_at": _at(minute)}
    return Run(**(given | own | fields))


def _turn(workflow_id: str, number: int = 1, *, minute: int = 1, **fields: Any) -> SQLModel:
    given = {"run_id": f"run of {workflow_id}", "created_at": _at(minute), "cost_usd": 0.25}
    return make_turn(f"{workflow_id}:{number}", **(given | fields))


def _checkpoint(run: str) -> Checkpoint:
    given: dict[str, Any] = {"parent_id": None, "state": "s", "turn_id": None, "key": "k"}
    counts: dict[str, Any] = {"files": 0, "new_bytes": 0, "changes": pack({})}
    return Checkpoint(id="c", run_id=run, created_at=_at(30), **given, **counts)


@pytest.fixture
def family(store: Store) -> Family:
    return Family(store)


async def _tree(store: Store) -> None:
    """A team with two members' runs, of which the first has a child and a grandchild."""
    await store.add(
        _run("team-1"),
        _run("team-1.a.1", "team-1", minute=1),
        _run("team-1.b.1", "team-1", minute=2, ended_at=_at(5)),
        _run("team-1.a.1.1", "team-1.a.1", minute=3),
        _run("team-1.a.1.1.1", "team-1.a.1.1", minute=4),
        _run("team-10"),
        _run("team-10.a.1", "team-10", minute=5),
        *(_turn("team-1.a.1", n) for n in (1, 2)),
        _turn("team-1.a.1.1.1"),
        _turn("team-1.b.1"),
    )


async def test_all_runs_below_are_found(store: Store, family: Family) -> None:
    """To any depth, newest first, each with its own turns; of no other team."""
    await _tree(store)
    found = await family.of("team-1")
    assert [(each.run.workflow_id, each.run.parent, each.steps) for each in found] == [
        ("team-1.a.1.1.1", "team-1.a.1.1", 1),
        ("team-1.a.1.1", "team-1.a.1", 0),
        ("team-1.b.1", "team-1", 1),
        ("team-1.a.1", "team-1", 2),
    ]
    assert found[3].usage == Usage(input_tokens=2, output_tokens=2, cost_usd=0.5)
    assert await family.of("team-1.b.1") == []
    assert await family.of("unknown") == []


async def test_a_branch_adds_up_what_is_below(store: Store, family: Family) -> None:
    """Steps, tokens and cost of the whole branch; the head is that of the run itself."""
    await _tree(store)
    branches = await family.branches(["team-1.a.1", "team-1.a.1.1", "team-1.b.1", "unknown"])
    assert branches.keys() == {"team-1.a.1", "team-1.a.1.1", "team-1.b.1"}
    first = branches["team-1.a.1"]
    assert (first.run, first.result) == ("run of team-1.a.1", None)
    assert (first.spent.steps, first.spent.usage) == (
        3,
        Usage(input_tokens=3, output_tokens=3, cost_usd=0.75),
    )
    assert set(first.open_below) == {"team-1.a.1.1", "team-1.a.1.1.1"}
    assert branches["team-1.a.1.1"].spent.steps == 1
    assert branches["team-1.a.1.1"].head is None
    assert branches["team-1.b.1"].head == "team-1.b.1:1"
    assert branches["team-1.b.1"].open_below == ()


async def test_an_unknown_price_makes_the_branchs_cost_unknown(
    store: Store, family: Family
) -> None:
    """Wherever in it."""
    await _tree(store)
    await store.add(_turn("team-1.a.1.1.1", 2, cost_usd=None))
    branches = await family.branches(["team-1.a.1", "team-1.b.1"])
    assert branches["team-1.a.1"].spent.usage.cost_usd is None
    assert branches["team-1.b.1"].spent.usage.cost_usd == 0.25


async def test_a_recorded_end_is_read_back(store: Store, family: Family) -> None:
    """With what it says of the answer."""
    await store.keep(_run("one"))
    result = AgentResult(
        status=RunStatus.COMPLETED, answer="42", head="h", steps=3, usage=Usage(input_tokens=1)
    )
    await store.end_run("run of one", result)
    assert (await family.branches(["one"]))["one"].result == result


@pytest.mark.parametrize("where", ["top", "top.1", "top.1.1"])
@pytest.mark.parametrize(
    "row",
    [
        lambda run: make_turn("t", run_id=run, created_at=_at(30)),
        lambda run: StoredEntry(id="e", run_id=run, kind="result", text="", created_at=_at(30)),
        lambda run: Claim(id="k", run_id=run, detail={}, created_at=_at(30)),
        _checkpoint,
    ],
    ids=["turn", "entry", "claim", "checkpoint"],
)
async def test_whatever_is_recorded_is_news(
    store: Store, family: Family, row: Any, where: str
) -> None:
    """In the run itself and in any below it."""
    await store.add(_run("top"), _run("top.1", "top"), _run("top.1.1", "top.1"))
    await store.add(
        StoredEntry(id="old", run_id="run of top", kind="task", text="", created_at=NOON)
    )
    await store.add(row(f"run of {where}"))
    assert (await family.branches(["top"]))["top"].news == _at(30)


@pytest.mark.parametrize("fields", [{"minute": 30}, {"ended_at": _at(30)}])
async def test_that_a_run_below_begins_or_ends_is_news(
    store: Store, family: Family, fields: dict[str, Any]
) -> None:
    """A run that waits for it is not silent."""
    await store.add(_run("top"), _run("top.1", "top", **fields))
    assert (await family.branches(["top"]))["top"].news == _at(30)


async def test_without_any_record_the_beginning_is_news(store: Store, family: Family) -> None:
    """In UTC, as all moments."""
    await store.add(_run("top", minute=7))
    news = (await family.branches(["top"]))["top"].news
    assert (news, news.utcoffset()) == (_at(7), timedelta(0))


async def test_of_a_workflow_id_used_again_the_newest_run_counts(
    store: Store, family: Family
) -> None:
    """What the older one used up is not the newer one's."""
    await store.add(
        _run("one", id="older", minute=0),
        _run("one", id="newer", minute=9),
        make_turn("t", run_id="older"),
    )
    branch = (await family.branches(["one"]))["one"]
    assert (branch.run, branch.spent.steps, branch.head) == ("newer", 0, None)


async def test_many_branches_take_few_queries(store: Store, family: Family) -> None:
    """As many for a hundred runs as for one."""
    ids = [f"member-{n}" for n in range(100)]
    await store.add(*(_run(each) for each in ids), *(_run(f"{each}.1", each) for each in ids))
    await store.add(*(_turn(each) for each in ids))
    queries: list[object] = []
    event.listen(
        store.engine.sync_engine, "before_cursor_execute", lambda *told: queries.append(told[2])
    )
    branches = await family.branches(ids)
    assert len(branches) == 100
    assert len(queries) <= 6
