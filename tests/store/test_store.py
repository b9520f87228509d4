"""What the store keeps, finds again and refuses, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from perdure.contracts import AgentResult, RunStatus, Usage
from perdure.errors import StoreError, UnknownRun
from perdure.store.store import Store
from perdure.store.tables import Run, StoredEntry, Turn

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _run(id: str = "run", *, minute: int = 0, **fields: Any) -> Run:
    created = NOON + timedelta(minutes=minute)
    given = {"workflow_id": "agent-1", "agent": "a", "model": "m", "spec": {}, "task": "a task"}
    return Run(id=id, created_at=created, **(given | fields))


def _turn(
    id: str, parent: str | None = None, step: int = 1, *, run: str = "run", **fields: Any
) -> Turn:
    given: dict[str, Any] = {"entries": [], "thought": f"thought of {id}", "calls": []}
    counts = {"characters": 1, "input_tokens": 10, "output_tokens": 2, "cost_usd": 0.5}
    facts = {"model": "m", "finish_reason": "stop", "seconds": 0.1}
    own = {"id": id, "run_id": run, "parent_id": parent, "step": step}
    return Turn(**(own | given | counts | facts | fields))


def _entry(id: str, text: str = "text", *, run: str = "run", **fields: Any) -> StoredEntry:
    return StoredEntry(id=id, run_id=run, kind="notice", text=text, **fields)


def _result(answer: str = "42") -> AgentResult:
    usage = Usage(input_tokens=1)
    return AgentResult(status=RunStatus.COMPLETED, answer=answer, head="t", steps=1, usage=usage)


@pytest_asyncio.fixture
async def another(database_url: str, store: Store) -> AsyncIterator[Store]:
    """A second worker's view of the same database, with nothing in its memory."""
    assert store
    another = await Store.open(database_url)
    yield another
    await another.close()


async def test_the_first_row_of_an_id_stays(store: Store, another: Store) -> None:
    """A retry that computed something else is given what was stored first."""
    first = await store.keep(_entry("e", "first"))
    assert (await store.keep(_entry("e", "second"))).text == first.text == "first"
    assert (await another.keep(_entry("e", "third"))).text == "first"
    stored = await another.entry("e")
    assert stored is not None
    assert stored.text == "first"


async def test_of_two_rows_kept_at_once_both_get_the_same(store: Store) -> None:
    """Two attempts in one commit agree on which of them was first."""
    kept = await asyncio.gather(*(store.keep(_entry("e", str(n))) for n in range(10)))
    assert {row.text for row in kept} == {"0"}


async def test_another_row_that_was_there_is_not_overwritten_in_memory(store: Store) -> None:
    """What came along with a new row is remembered as it is stored, not as it was given."""
    await store.keep(_entry("e", "stored"))
    await store.keep(_turn("t"), _entry("e", "given"))
    assert (await store.entries(["e"]))["e"].text == "stored"


async def test_rows_are_read_back_whole(store: Store, another: Store) -> None:
    """Every field of a turn comes back as it was given, from another process too."""
    calls = [{"id": "c", "tool": "x", "arguments": '{"a": 1}', "problem": None}]
    turn = await store.keep(_turn("t", calls=calls, entries=["e1", "e2"], cost_usd=None))
    found = await another.turn("t")
    assert found is not None
    assert found.model_dump() == turn.model_dump()
    assert found.created_at.utcoffset() == timedelta(0)


async def test_a_path_leads_from_the_root_to_the_head(store: Store, another: Store) -> None:
    """Where the tree forks each head has its own path, whether in memory, half of it or not."""
    await store.keep(_turn("root"))
    await store.keep(_turn("left", "root", 2))
    await store.keep(_turn("right", "root", 2), _turn("leaf", "right", 3))
    for reader in (store, another):
        assert [turn.id for turn in await reader.path("leaf")] == ["root", "right", "leaf"]
        assert [turn.id for turn in await reader.path("left")] == ["root", "left"]
        assert [turn.id for turn in await reader.path("root")] == ["root"]
    await store.keep(_turn("new", "leaf", 4))
    assert [turn.step for turn in await another.path("new")] == [1, 2, 3, 4]


async def test_a_path_longer_than_one_query_holds_is_read_whole(
    store: Store, another: Store
) -> None:
    """Two thousand steps come in order, from a worker that has none of them in memory."""
    turns = [_turn(f"t{n}", f"t{n - 1}" if n else None, n + 1) for n in range(2000)]
    entries = [_entry(f"e{n}") for n in range(2000)]
    await store.keep(turns[0], *turns[1:], *entries)
    assert [turn.step for turn in await another.path("t1999")] == list(range(1, 2001))
    assert len(await another.entries(f"e{n}" for n in range(2000))) == 2000


async def test_an_unknown_head_is_an_error_with_a_cure(store: Store) -> None:
    """A head from another database names itself and the settings to look at."""
    with pytest.raises(StoreError, match=r"Turn 't-none' is not in this store.*DATABASE_URL"):
        await store.path("t-none")


async def test_what_is_not_there_is_none(store: Store) -> None:
    """Turns and entries that are unknown are no errors; a run that is unknown is one."""
    assert await store.turn("t") is None
    assert await store.entry("e") is None
    assert await store.entries(["e", "f"]) == {}
    with pytest.raises(UnknownRun, match=r"Run 'r' is not in this store"):
        await store.run("r")
    with pytest.raises(UnknownRun, match=r"Run 'agent-9' is not in this store"):
        await store.find_run("agent-9")


async def test_one_of_many_claims_in_two_workers_is_the_first(store: Store, another: Store) -> None:
    """However many race for an effect, one may begin it, and the others learn that one's detail."""
    for attempt in range(10):
        race = [
            who.claim(f"k{attempt}", "run", {"by": number})
            for number, who in enumerate([store, another] * 10)
        ]
        details = await asyncio.gather(*race)
        winner = details.index(None)
        assert [detail for detail in details if detail is not None] == [{"by": winner}] * 19


async def test_the_last_end_of_a_run_counts(store: Store, another: Store) -> None:
    """After a reset a run ends again, and readers that have it in memory see that."""
    await store.keep(_run())
    assert (await store.run("run")).ended_at is None
    await store.end_run("run", _result("first"))
    await store.end_run("run", _result("second"))
    for reader in (store, another):
        run = await reader.run("run")
        assert run.ended_at is not None
        assert AgentResult.model_validate(run.result).answer == "second"


async def test_the_latest_run_of_a_workflow_is_found(store: Store) -> None:
    """A workflow id that was used again stands for the newest run."""
    await store.keep(_run("old"), _run("new", minute=5), _run("other", workflow_id="agent-2"))
    assert (await store.find_run("agent-1")).id == "new"


async def test_runs_are_summed_up_newest_first(store: Store) -> None:
    """Steps, tokens and cost are those of the run's own turns; limit takes the newest."""
    await store.keep(_run("old"), _run("idle", minute=1), _run("new", minute=2))
    await store.keep(_turn("a", run="new", created_at=NOON))
    await store.keep(_turn("b", "a", 2, run="new", created_at=NOON + timedelta(seconds=1)))
    new, idle = await store.runs(limit=2)
    assert (new.run.id, new.steps, new.head) == ("new", 2, "b")
    assert new.usage == Usage(input_tokens=20, output_tokens=4, cost_usd=1.0)
    assert (idle.run.id, idle.steps, idle.head, idle.usage) == ("idle", 0, None, Usage())


async def test_runs_without_a_parent_can_be_asked_for(store: Store) -> None:
    """The limit counts those only."""
    below = [_run(f"below-{n}", minute=n, parent="agent-1") for n in range(1, 4)]
    await store.keep(_run("old"), _run("new", minute=9), *below)
    tops = await store.runs(limit=2, tops=True)
    assert [summary.run.id for summary in tops] == ["new", "old"]
    assert len(await store.runs(limit=None)) == 5


async def test_one_turn_of_unknown_price_makes_the_cost_unknown(store: Store) -> None:
    """Part of a cost is not shown as if it were all of it."""
    await store.keep(_run(), _turn("a"), _turn("b", "a", 2, cost_usd=None))
    (summary,) = await store.runs(limit=10)
    assert summary.usage == Usage(input_tokens=20, output_tokens=4, cost_usd=None)


async def test_news_come_in_the_order_of_their_making(store: Store) -> None:
    """Turns and entries of one run are merged; `since` includes its own moment, in any zone."""
    at = [NOON + timedelta(seconds=second) for second in range(4)]
    await store.keep(_turn("t1", created_at=at[1]), _entry("e0", created_at=at[0]))
    await store.keep(_entry("e2", created_at=at[2]), _turn("t3", created_at=at[3]))
    await store.keep(_entry("foreign", run="other"))
    assert [row.id for row in await store.news("run", None)] == ["e0", "t1", "e2", "t3"]
    for zone in (UTC, datetime.strptime("+0530", "%z").tzinfo):
        news = await store.news("run", at[2].astimezone(zone))
        assert [row.id for row in news] == ["e2", "t3"]


HOSTILE = {
    "NUL": ("a\0b", "a\\x00b"),
    "a lone surrogate": ("a\ud800b", "a\\ud800b"),
    "emoji": ("👩‍👩‍👧 é \U0010ffff", "👩‍👩‍👧 é \U0010ffff"),
    "quotes": ("'; DROP TABLE turn; -- %s :name $1", "'; DROP TABLE turn; -- %s :name $1"),
    "3 MB": ("é" * 1_500_000, "é" * 1_500_000),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_any_text_can_be_stored(store: Store, another: Store, name: str) -> None:
    """What no database can hold is written out; the rest comes back as it was."""
    given, expected = HOSTILE[name]
    calls = [{"id": "c", "tool": "x", "arguments": given, "problem": given}]
    await store.keep(
        _run(task=given, user=given[:50], conversation=given[:50], spec={"instructions": given}),
        _entry("e", given, call=given[:50], tool=given[:50]),
        _turn("t", thought=given, problem=given, calls=calls, finish_reason=given[:50]),
    )
    entry, turn = await another.entry("e"), await another.turn("t")
    assert entry is not None
    assert turn is not None
    assert entry.text == turn.thought == (await another.run("run")).task == expected
    assert turn.calls[0]["arguments"] == given
