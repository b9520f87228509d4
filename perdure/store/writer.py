"""Group commit: rows that arrive while a commit is under way share the next one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlmodel import SQLModel


@dataclass(slots=True)
class _Batch:
    rows: list[SQLModel]
    added: asyncio.Future[frozenset[str]]


class Writer:
    """Appends rows in the order of arrival; of two rows with one id the first stays.

    One commit serves everyone who is waiting, which is what lets a hundred agents share
    SQLite's single writer and one disk flush.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._insert = (
            sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert
        )
        self._waiting: list[_Batch] = []
        self._flushing: asyncio.Task[None] | None = None

    async def add(self, *rows: SQLModel) -> frozenset[str]:
        """Commit the rows together; returns the ids that were new."""
        added: asyncio.Future[frozenset[str]] = (
            asyncio.get_running_loop().create_future()
        )
        self._waiting.append(_Batch(list(rows), added))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        return await added

    async def close(self) -> None:
        if self._flushing is not None:
            await self._flushing

    async def _flush(self) -> None:
        while self._waiting:
            batches, self._waiting = self._waiting, []
            try:
                added = await self._commit(
                    [row for batch in batches for row in batch.rows]
                )
            except (
                BaseException
            ) as error:  # every waiter must hear of it, cancellation included
                for batch in batches:
                    if not batch.added.done():
                        batch.added.set_exception(error)
                if not isinstance(error, Exception):
                    raise
            else:
                for batch in batches:
                    if not batch.added.done():
                        batch.added.set_result(added)

    async def _commit(self, rows: Sequence[SQLModel]) -> frozenset[str]:
        tables: dict[Table, list[SQLModel]] = {}
        for row in rows:
            tables.setdefault(type(row).__table__, []).append(row)  # type: ignore[attr-defined] # SQLModel's tables are not typed
        async with self._engine.begin() as connection:
            new = [
                await self._insert_rows(connection, table, tables[table])
                for table in tables
            ]
        return frozenset().union(*new)

    async def _insert_rows(
        self, connection: AsyncConnection, table: Table, rows: Sequence[SQLModel]
    ) -> frozenset[str]:
        distinct = {str(row.id): row.model_dump() for row in reversed(rows)}  # type: ignore[attr-defined] # every table of ours has one
        statement = self._insert(table).on_conflict_do_nothing().returning(table.c.id)
        result = await connection.execute(statement, list(distinct.values()))
        return frozenset(result.scalars())
