"""What can be asked of the transcript store, and what can be added to it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NoReturn, TypeVar, cast

from cachetools import LRUCache
from sqlalchemy import Select, Table, func
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import SQLModel, col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from perdure.contracts import AgentResult, Usage
from perdure.errors import StoreError, UnknownRun
from perdure.store.engine import create_engine
from perdure.store.grouping import Grouping
from perdure.store.tables import Claim, Run, StoredEntry, Turn, now
from perdure.store.writer import Writer

_CACHE_CHARACTERS = 64_000_000
_CACHED_ROW_CHARACTERS = 1_000_000
_IDS_PER_QUERY = 500
_ROW_OVERHEAD = 500

Row = TypeVar("Row", Run, Turn, StoredEntry)
Moment = TypeVar("Moment", Turn, StoredEntry)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run, with what its turns add up to."""

    run: Run
    steps: int
    usage: Usage
    head: str | None


def _size(row: Run | Turn | StoredEntry) -> int:
    match row:
        case Run():
            return _ROW_OVERHEAD + len(row.task) + len(row.spec.get("instructions", ""))
        case StoredEntry():
            return _ROW_OVERHEAD + len(row.text)
        case Turn():
            arguments = sum(len(call["arguments"]) for call in row.calls)
            return _ROW_OVERHEAD + len(row.thought) + arguments


class Store:
    """One open database. Stored rows never change: each process keeps the recent ones in memory."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._writer = Writer(engine)
        self._recent: LRUCache[str, Run | Turn | StoredEntry] = LRUCache(
            _CACHE_CHARACTERS, getsizeof=_size
        )
        self._lookups: dict[type[SQLModel], Grouping[str, SQLModel | None]] = {
            table: Grouping(partial(self._look_up, table)) for table in (Run, Turn, StoredEntry)
        }

    @classmethod
    async def open(cls, url: str) -> "Store":
        return cls(create_engine(url))

    async def close(self) -> None:
        await self._writer.close()
        await self.engine.dispose()

    # Adding

    async def keep(self, row: Row, *others: SQLModel) -> Row:
        """Commit the rows together and return `row` as stored: the first of its id stays."""
        added = await self._writer.add(row, *others)
        for new in (row, *others):
            if new.id in added:  # type: ignore[attr-defined] # every table of ours has one
                self._remember(new)
        return row if row.id in added else await self._get(type(row), row.id) or row

    async def add(self, *rows: SQLModel) -> frozenset[str]:
        """Commit the rows together; returns the ids that were new, of others the first stays."""
        return await self._writer.add(*rows)

    async def claim(self, key: str, run_id: str, detail: dict[str, Any]) -> dict[str, Any] | None:
        """Mark that the effect `key` begins; an earlier mark's detail, or None for the first."""
        mine = Claim(id=key, run_id=run_id, detail=detail)
        return None if key in await self._writer.add(mine) else await self.claimed(key)

    async def end_run(self, run_id: str, result: AgentResult) -> None:
        """Record how the run ended; after a reset it ends once more, and that end counts."""
        run = update(Run).where(col(Run.id) == run_id)
        values = {"ended_at": now(), "result": result.model_dump(mode="json")}
        async with self.engine.begin() as connection:
            await connection.execute(run.values(values))
        self._recent.pop(run_id, None)

    # Reading one thing by its id

    async def find(self, run_id: str) -> Run | None:
        return await self._get(Run, run_id)

    async def run(self, run_id: str) -> Run:
        return await self.find(run_id) or _unknown_run(run_id)

    async def turn(self, turn_id: str) -> Turn | None:
        return await self._get(Turn, turn_id)

    async def entry(self, entry_id: str) -> StoredEntry | None:
        return await self._get(StoredEntry, entry_id)

    async def entries(self, ids: Iterable[str]) -> dict[str, StoredEntry]:
        """The entries of these ids; one query for those that are not in memory."""
        found: dict[str, SQLModel | None] = {each: self._recent.get(each) for each in ids}
        missing = [each for each, row in found.items() if row is None]
        if missing:
            rows = await self._look_up(StoredEntry, missing)
            found.update(zip(missing, rows, strict=True))
        for row in found.values():
            self._remember(row)
        return {each: row for each, row in found.items() if isinstance(row, StoredEntry)}

    async def claimed(self, key: str) -> dict[str, Any] | None:
        """The detail with which the effect `key` was marked, if it was."""
        async with AsyncSession(self.engine) as session:
            claim = (await session.exec(select(Claim).where(Claim.id == key))).first()
        return claim.detail if claim else None

    # Reading the tree

    async def path(self, head: str) -> list[Turn]:
        """The turns from the root to `head`."""
        turns: list[Turn] = []
        next_id: str | None = head
        while next_id is not None:
            turn = self._recent.get(next_id)
            if not isinstance(turn, Turn):
                return [*await self._select_path(next_id), *reversed(turns)]
            turns.append(turn)
            next_id = turn.parent_id
        return turns[::-1]

    async def steps_before(self, run: Run) -> int:
        """Steps on the way to the turn from which the run goes on: its own begin after them."""
        turn = await self.turn(run.parent_head) if run.parent_head else None
        return turn.step if turn else 0

    # Reading runs

    async def find_run(self, workflow_id: str) -> Run:
        """The latest run of that workflow id."""
        query = select(Run).where(Run.workflow_id == workflow_id)
        async with AsyncSession(self.engine) as session:
            run = (await session.exec(query.order_by(col(Run.created_at).desc()).limit(1))).first()
        return run or _unknown_run(workflow_id)

    async def known(self, workflow_ids: Sequence[str]) -> set[str]:
        """Those of these ids that some run has."""
        query = select(Run.workflow_id).where(col(Run.workflow_id).in_(workflow_ids))
        async with AsyncSession(self.engine) as session:
            return set(await session.exec(query))

    async def runs(self, limit: int | None, *, tops: bool = False) -> list[RunSummary]:
        """The newest runs, newest first; None gives all, `tops` only those without a parent."""
        newest = select(Run.id).order_by(col(Run.created_at).desc()).limit(limit)
        return await self.summaries(newest.where(col(Run.parent).is_(None)) if tops else newest)

    async def summaries(self, ids: Select[Any]) -> list[RunSummary]:
        """The runs whose ids this query gives, newest first, with what their turns add up to."""
        query = (
            select(  # type: ignore[call-overload] # SQLModel types at most four columns
                Run,
                last_turn(),
                func.count(col(Turn.id)),
                func.coalesce(func.sum(Turn.input_tokens), 0),
                func.coalesce(func.sum(Turn.output_tokens), 0),
                func.coalesce(func.sum(Turn.cost_usd), 0.0),
                func.count(col(Turn.cost_usd)),
            )
            .outerjoin(Turn, col(Turn.run_id) == col(Run.id))
            .where(col(Run.id).in_(ids))
            .group_by(col(Run.id))
            .order_by(col(Run.created_at).desc())
        )
        async with AsyncSession(self.engine) as session:
            return [_summary(row) for row in await session.exec(query)]

    async def news(self, run_id: str, since: datetime | None) -> list[Turn | StoredEntry]:
        """The run's turns and entries from `since` on, in the order in which they were stored."""
        return sorted(
            [
                *await self._since(Turn, run_id, since),
                *await self._since(StoredEntry, run_id, since),
            ],
            key=lambda row: row.created_at,
        )

    # How reading works

    async def _get(self, table: type[Row], id: str) -> Row | None:
        known = self._recent.get(id)
        if isinstance(known, table):
            return known
        row = await self._lookups[table].ask(id)
        if row is not None:
            self._remember(row)
        return cast("Row | None", row)

    async def _look_up(self, table: type[SQLModel], ids: Sequence[str]) -> list[SQLModel | None]:
        """The rows of these ids, in order. Core rather than ORM: a third of the processor time."""
        columns: Table = table.__table__  # type: ignore[attr-defined] # SQLModel's tables are not typed
        found: dict[str, SQLModel] = {}
        async with self.engine.connect() as connection:
            for wanted in portions(ids):
                rows = await connection.execute(columns.select().where(columns.c.id.in_(wanted)))
                found |= {row.id: table(**row._mapping) for row in rows}  # noqa: SLF001 - its public name
        return [found.get(each) for each in ids]

    async def _select_path(self, head: str) -> list[Turn]:
        ancestors = select(Turn.id, Turn.parent_id).where(Turn.id == head).cte(recursive=True)
        parents = select(Turn.id, Turn.parent_id).where(Turn.id == ancestors.c.parent_id)
        ancestors = ancestors.union_all(parents)
        query = (
            select(Turn).join(ancestors, col(Turn.id) == ancestors.c.id).order_by(col(Turn.step))
        )
        async with AsyncSession(self.engine) as session:
            turns = list((await session.exec(query)).all())
        if not turns:
            message = (
                f"Turn '{head}' is not in this store. It may belong to another database:"
                " look at DATABASE_URL and PERDURE_HOME."
            )
            raise StoreError(message)
        for turn in turns:
            self._remember(turn)
        return turns

    async def _since(
        self, table: type[Moment], run_id: str, since: datetime | None
    ) -> Sequence[Moment]:
        query = select(table).where(table.run_id == run_id)
        if since is not None:
            query = query.where(col(table.created_at) >= since)
        async with AsyncSession(self.engine) as session:
            return (await session.exec(query)).all()

    def _remember(self, row: SQLModel | None) -> None:
        if isinstance(row, Turn | StoredEntry | Run) and _size(row) <= _CACHED_ROW_CHARACTERS:
            self._recent[row.id] = row


def last_turn() -> Any:
    """The id of the newest turn of the run that a query is about."""
    turn = select(Turn.id).where(Turn.run_id == Run.id).order_by(col(Turn.created_at).desc())
    return turn.limit(1).correlate(Run).scalar_subquery()


def portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many at a time as one query can ask for."""
    for start in range(0, len(ids), _IDS_PER_QUERY):
        yield ids[start : start + _IDS_PER_QUERY]


def _summary(row: Sequence[Any]) -> RunSummary:
    run, head, steps, tokens_in, tokens_out, cost, priced = row
    known_cost = cost if priced == steps else None
    usage = Usage(input_tokens=tokens_in, output_tokens=tokens_out, cost_usd=known_cost)
    return RunSummary(run, steps, usage, head)


def _unknown_run(id: str) -> NoReturn:
    message = f"Run '{id}' is not in this store. `starter.py list` shows the runs that are."
    raise UnknownRun(message)
