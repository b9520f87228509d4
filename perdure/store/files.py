"""What the store knows of runs' files: checkpoints, each a change of the one before, and pieces."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, literal, outerjoin
from sqlalchemy import select as columns_of
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from perdure.errors import UnknownRun
from perdure.sandbox.inside.index import Entries, fold
from perdure.store.packing import content, unpack
from perdure.store.store import Store, portions
from perdure.store.tables import Checkpoint, Piece, Run, Turn


class UnknownStep(UnknownRun):
    """The run has not come to that step."""


@dataclass(frozen=True, slots=True)
class Point:
    """Where a checkpoint stands: without what it changed, which may be long."""

    id: str
    parent_id: str | None
    state: str
    created_at: datetime
    depth: int | None
    """In the tree of turns, of the one that left it; None for the files that a run began with."""


class Files:
    """Checkpoints and pieces of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._engine = store.engine

    async def keep(self, *rows: SQLModel) -> frozenset[str]:
        """Commit the rows together; returns the ids that were new, of others the first stays."""
        return await self._store.add(*rows)

    async def missing(self, digests: Iterable[str]) -> set[str]:
        """Those of which there is no piece."""
        wanted = set(digests)
        found: set[str] = set()
        async with AsyncSession(self._engine) as session:
            for ids in portions(sorted(wanted)):
                found.update(await session.exec(select(Piece.id).where(col(Piece.id).in_(ids))))
        return wanted - found

    async def contents(self, digests: Collection[str]) -> dict[str, bytes]:
        """What is in these pieces. The caller takes care not to ask for too much at once."""
        async with AsyncSession(self._engine) as session:
            rows: list[Piece] = []
            for ids in portions(sorted(set(digests))):
                rows += await session.exec(select(Piece).where(col(Piece.id).in_(ids)))
        return await asyncio.to_thread(lambda: {row.id: content(row) for row in rows})

    async def last(self, run_id: str) -> Point | None:
        """The run's newest checkpoint: each bears a later time than its parent."""
        query = _points(run_id).order_by(col(Checkpoint.created_at).desc()).limit(1)
        async with AsyncSession(self._engine) as session:
            row = (await session.exec(query)).first()
        return Point(*row) if row else None

    async def latest(self, team: str, member: str) -> Point | None:
        """The newest checkpoint of the newest of the member's runs that has one."""
        query = (
            _columns()
            .join(Run, col(Run.id) == col(Checkpoint.run_id))
            .where(col(Run.team) == team, col(Run.member) == member)
            .order_by(col(Run.created_at).desc(), col(Checkpoint.created_at).desc())
            .limit(1)
        )
        async with AsyncSession(self._engine) as session:
            row = (await session.exec(query)).first()
        return Point(*row) if row else None

    async def at(self, run_id: str, step: int) -> Point | None:
        """The last checkpoint of that step or one before; 0 is before the first.

        Raises:
            UnknownStep: the run has not come to that step.
        """
        run = await self._store.run(run_id)
        before = await self._store.steps_before(run)
        await self._check(run, step, before)
        found, depth = None, 0
        for point in await self._history(run_id):
            depth = max(depth, point.depth or 0)
            if depth <= before + step:
                found = point
        return found

    async def before(self, head: str) -> Point | None:
        """The last checkpoint on the way to the turn `head`, whichever run's files it is of."""
        path = await self._store.path(head)
        turns, runs = [turn.id for turn in path], {turn.run_id for turn in path}
        began = col(Checkpoint.turn_id).is_(None) & col(Checkpoint.run_id).in_(runs)
        on_the_way = began | col(Checkpoint.turn_id).in_(turns)
        # A member of a team may have worked on files that are the team's.
        teams = select(Run.team).where(col(Run.id).in_(runs))
        owners = select(Run.id).where(col(Run.workflow_id).in_(teams))
        owned = col(Checkpoint.run_id).in_(runs) | col(Checkpoint.run_id).in_(owners)
        query = _columns().where(owned, on_the_way)
        async with AsyncSession(self._engine) as session:
            newest = query.order_by(col(Checkpoint.created_at).desc()).limit(1)
            row = (await session.exec(newest)).first()
        return Point(*row) if row else None

    async def entries(self, point: Point | None) -> Entries:
        """All that the state has."""
        return await self.recorded(point.id) if point else {}

    async def recorded(self, checkpoint_id: str) -> Entries:
        """The state of that checkpoint: the changes of each one on the way to it."""
        entries: Entries = {}
        for packed in await self._changes(checkpoint_id):
            entries = fold(entries, unpack(packed))
        return entries

    async def _changes(self, checkpoint_id: str) -> Sequence[bytes]:
        """From the first checkpoint to this one."""
        links = select(Checkpoint.id, Checkpoint.parent_id, literal(0).label("distance"))
        ancestors = links.where(Checkpoint.id == checkpoint_id).cte(recursive=True)
        parents = select(Checkpoint.id, Checkpoint.parent_id, ancestors.c.distance + 1)
        ancestors = ancestors.union_all(parents.where(Checkpoint.id == ancestors.c.parent_id))
        query = (
            select(Checkpoint.changes)
            .join(ancestors, col(Checkpoint.id) == ancestors.c.id)
            .order_by(ancestors.c.distance.desc())
        )
        async with AsyncSession(self._engine) as session:
            return (await session.exec(query)).all()

    async def _history(self, run_id: str) -> list[Point]:
        """From the run's first checkpoint to its last."""
        async with AsyncSession(self._engine) as session:
            points = [Point(*row) for row in await session.exec(_points(run_id))]
        by_id = {point.id: point for point in points}
        last = max(points, key=lambda point: point.created_at, default=None)
        history = []
        while last is not None:
            history.append(last)
            last = by_id.get(last.parent_id or "")
        return history[::-1]

    async def _check(self, run: Run, step: int, before: int) -> None:
        query = select(func.max(Turn.step)).where(Turn.run_id == run.id)
        async with AsyncSession(self._engine) as session:
            deepest = (await session.exec(query)).one() or before
        if not 0 <= step <= deepest - before:
            raise UnknownStep(
                f"Run '{run.workflow_id}' has no step {step}: it has come to step"
                f" {deepest - before}. Step 0 is before the first."
            )


def _points(run_id: str) -> Any:
    return _columns().where(col(Checkpoint.run_id) == run_id)


def _columns() -> Any:
    """Of a `Point`."""
    turn = outerjoin(Checkpoint, Turn, col(Turn.id) == col(Checkpoint.turn_id))
    columns = (
        col(Checkpoint.id),
        col(Checkpoint.parent_id),
        col(Checkpoint.state),
        col(Checkpoint.created_at),
        col(Turn.step),
    )
    return columns_of(*columns).select_from(turn)
