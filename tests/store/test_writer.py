"""Group commit: who shares a commit, and who hears of its failure."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError, StatementError

from perdure.store.engine import create_engine
from perdure.store.migrate import migrate
from perdure.store.store import Store
from perdure.store.tables import Claim, StoredEntry
from perdure.store.writer import Writer


@pytest_asyncio.fixture
async def writer(store: Store) -> AsyncIterator[Writer]:
    writer = Writer(store.engine)
    yield writer
    await writer.close()


def _entry(id: str) -> StoredEntry:
    return StoredEntry(id=id, run_id="run", kind="notice", text=f"text of {id}")


def _unstorable(id: str) -> Claim:
    return Claim(id=id, run_id="run", detail={"not JSON": object()})


async def test_a_hundred_writers_share_a_few_commits(store: Store, writer: Writer) -> None:
    """Rows that come while a commit is under way go with the next one, and all are stored."""
    commits: list[object] = []
    event.listen(store.engine.sync_engine, "commit", commits.append)
    added = await asyncio.gather(*(writer.add(_entry(f"e{n}")) for n in range(100)))
    assert added == [frozenset({f"e{n}"}) for n in range(100)]
    assert len(commits) <= 2
    assert len(await store.entries(f"e{n}" for n in range(100))) == 100


async def test_each_writer_is_told_of_its_own_new_rows(writer: Writer) -> None:
    """Of the rows that two writers bring at once, each is new to one of them only."""
    first, second = await asyncio.gather(
        writer.add(_entry("a"), _entry("b")), writer.add(_entry("b"), _entry("c"))
    )
    assert (set(first), set(second)) == ({"a", "b"}, {"c"})
    assert await writer.add(_entry("a")) == frozenset()


async def test_a_row_that_cannot_be_stored_fails_alone(store: Store, writer: Writer) -> None:
    """What is wrong with one writer's row is not told to the others, whose rows are stored."""
    first, wrong, last = await asyncio.gather(
        writer.add(_entry("a")),
        writer.add(_unstorable("bad")),
        writer.add(_entry("b")),
        return_exceptions=True,
    )
    assert (first, last) == (frozenset("a"), frozenset("b"))
    assert isinstance(wrong, StatementError)
    assert set(await store.entries(["a", "b"])) == {"a", "b"}


async def test_rows_given_together_are_stored_together_or_not_at_all(
    store: Store, writer: Writer
) -> None:
    """A turn is never there without its entries."""
    with pytest.raises(StatementError):
        await writer.add(_entry("a"), _unstorable("bad"))
    assert await store.entry("a") is None


async def test_when_a_commit_fails_all_who_wait_hear_it_and_the_next_one_works(
    database_url: str,
) -> None:
    """A database that is not ready fails every writer; once it is, the same writer goes on."""
    engine = create_engine(database_url)
    writer = Writer(engine)
    outcomes = await asyncio.gather(
        *(writer.add(_entry(f"e{n}")) for n in range(5)), return_exceptions=True
    )
    assert all(isinstance(outcome, SQLAlchemyError) for outcome in outcomes)
    store = Store(engine)
    await migrate(store.engine)
    assert await writer.add(_entry("e0")) == {"e0"}
    await writer.close()
    await store.close()


async def test_a_writer_that_is_cancelled_takes_nobody_along(store: Store, writer: Writer) -> None:
    """The others' rows are stored, and so is the one of the writer that gave up waiting."""
    tasks = [asyncio.create_task(writer.add(_entry(f"e{n}"))) for n in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[0] == frozenset({"e0"})
    assert isinstance(outcomes[1], asyncio.CancelledError)
    assert outcomes[2] == frozenset({"e2"})
    assert len(await store.entries(["e0", "e1", "e2"])) == 3


async def test_closing_waits_for_the_commit_under_way(store: Store, writer: Writer) -> None:
    """A row whose commit has begun is stored when close returns."""
    task = asyncio.create_task(writer.add(_entry("e")))
    await asyncio.sleep(0)
    await writer.close()
    async with store.engine.connect() as connection:
        count = await connection.scalar(text("SELECT count(*) FROM entry"))
    assert count == 1
    assert await task == {"e"}


async def test_workers_that_store_the_same_rows_do_not_lock_each_other_out(
    store: Store, writer: Writer
) -> None:
    """Rows are stored in the order of their ids, so whoever waits holds nothing that another needs.

    The other worker stores `a`, is overtaken, and goes on with `b`.
    """
    insert = text(
        "INSERT INTO entry (id, run_id, kind, text, dropped, seconds, created_at)"
        " VALUES (:id, 'run', 'notice', 'theirs', 0, 0, CURRENT_TIMESTAMP)"
    )
    async with store.engine.connect() as other:
        await other.execute(insert, {"id": "a"})
        ours = asyncio.create_task(writer.add(_entry("a"), _entry("b")))
        assert await asyncio.wait({ours}, timeout=0.2) == (set(), {ours})
        await other.execute(insert, {"id": "b"})
        await other.commit()
    assert await ours == frozenset()
