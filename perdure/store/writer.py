"""Group commit: rows that arrive while a commit is under way share the next one."""

from collections.abc import Sequence

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlmodel import SQLModel

from perdure.store.grouping import Grouping

Rows = Sequence[SQLModel]


class Writer:
    """Appends rows in the order of arrival; of two rows with one id the first stays."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._insert = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert
        self._commits: Grouping[Rows, frozenset[str]] = Grouping(self._commit)

    async def add(self, *rows: SQLModel) -> frozenset[str]:
        """Commit the rows together; returns the ids that were new."""
        return await self._commits.ask(rows)

    async def close(self) -> None:
        await self._commits.close()

    async def _commit(self, groups: Sequence[Rows]) -> Sequence[frozenset[str]]:
        tables: dict[Table, list[SQLModel]] = {}
        for row in (row for rows in groups for row in rows):
            tables.setdefault(type(row).__table__, []).append(row)  # type: ignore[attr-defined] # SQLModel's tables are not typed
        async with self._engine.begin() as connection:
            # In one order everywhere: two workers with the same rows must not lock crosswise.
            new = [
                await self._insert_rows(connection, table, tables[table])
                for table in sorted(tables, key=lambda table: table.name)
            ]
        return _share_out(groups, set().union(*new))

    async def _insert_rows(
        self, connection: AsyncConnection, table: Table, rows: Sequence[SQLModel]
    ) -> set[str]:
        # Of two rows with one id the first in the group stays, as it does in the table.
        distinct = {_id(row): row.model_dump() for row in reversed(rows)}
        statement = self._insert(table).on_conflict_do_nothing().returning(table.c.id)
        result = await connection.execute(statement, [distinct[each] for each in sorted(distinct)])
        return set(result.scalars())


def _share_out(groups: Sequence[Rows], new: set[str]) -> Sequence[frozenset[str]]:
    """Which of the `new` ids are whose: of two that came together only the first one's."""
    shares = []
    for rows in groups:
        share = frozenset(_id(row) for row in rows) & new
        new -= share
        shares.append(share)
    return shares


def _id(row: SQLModel) -> str:
    return str(row.id)  # type: ignore[attr-defined] # every table of ours has one
