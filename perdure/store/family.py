"""Families: the runs below a run or a team, and what they have recorded together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import CTE, Select, func, select, union_all
from sqlmodel import col

from perdure.contracts import AgentResult, Spent, Usage
from perdure.store.store import RunSummary, Store, last_turn, portions
from perdure.store.tables import Checkpoint, Claim, Run, StoredEntry, Turn


@dataclass(frozen=True, slots=True)
class Branch:
    """A run together with all runs below it."""

    run: str
    """The run's own id, as are its head and its result."""
    head: str | None
    result: AgentResult | None
    """None while it is open, or when it ended without a word."""
    spent: Spent
    """What all of their turns add up to."""
    news: datetime
    """When one of them last recorded anything."""
    open_below: tuple[str, ...]
    """Workflow ids of those below that have recorded no end."""


class Family:
    """What is below the runs of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(self, workflow_id: str) -> list[RunSummary]:
        """All runs below that workflow, newest first, each with the sums of its own turns."""
        kin = _kin([workflow_id])
        return await self._store.summaries(select(kin.c.id).where(kin.c.workflow_id != workflow_id))

    async def branches(self, workflow_ids: Iterable[str]) -> dict[str, Branch]:
        """By workflow id, without those of which no run was opened; a few queries for all."""
        branches: dict[str, Branch] = {}
        for roots in portions(sorted(set(workflow_ids))):
            branches |= await self._branches(roots)
        return branches

    async def _branches(self, roots: Sequence[str]) -> dict[str, Branch]:
        kin = _kin(roots)
        # First: what the others find may be more, and is then of no use yet.
        relatives = await self._rows(select(kin).order_by(kin.c.created_at))
        runs = select(kin.c.id)
        spent = {row[0]: _spent(*row[1:]) for row in await self._rows(_sums(runs))}
        news = {row[0]: row[1] for row in await self._rows(_last_moments(runs))}
        ends = {row[0]: _End(*row[1:]) for row in await self._rows(_ends(roots))}
        families: dict[str, dict[str, _Relative]] = {root: {} for root in roots}
        for row in relatives:
            relative = _Relative(*row)
            families[relative.root][relative.workflow_id] = relative  # the newest of each id
        return {
            root: _branch(ends, spent, news, family.pop(root), family)
            for root, family in families.items()
            if family
        }

    async def _rows(self, query: Any) -> Sequence[Any]:
        async with self._store.engine.connect() as connection:
            return (await connection.execute(query)).all()


class _Relative(NamedTuple):
    """A run that is `root`, or below it."""

    root: str
    id: str
    workflow_id: str
    created_at: datetime
    ended_at: datetime | None


class _End(NamedTuple):
    result: dict[str, Any] | None
    head: str | None


def _kin(roots: Sequence[str]) -> CTE:
    """The runs of these workflow ids and all below them, as `_Relative`s."""
    rest = (col(Run.id), col(Run.workflow_id), col(Run.created_at), col(Run.ended_at))
    own: Any = select(col(Run.workflow_id).label("root"), *rest)
    kin: CTE = own.where(col(Run.workflow_id).in_(roots)).cte("kin", recursive=True)
    return kin.union(select(kin.c.root, *rest).where(col(Run.parent) == kin.c.workflow_id))


def _sums(runs: Select[Any]) -> Any:
    return (
        select(
            col(Turn.run_id),
            func.count(),
            func.sum(col(Turn.input_tokens)),
            func.sum(col(Turn.output_tokens)),
            func.sum(col(Turn.cost_usd)),
            func.count(col(Turn.cost_usd)),
        )
        .where(col(Turn.run_id).in_(runs))
        .group_by(col(Turn.run_id))
    )


def _spent(
    steps: int, input_tokens: int, output_tokens: int, cost: float | None, priced: int
) -> Spent:
    usage = Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=cost if priced == steps else None,
    )
    return Spent(steps=steps, usage=usage)


def _last_moments(runs: Select[Any]) -> Any:
    """When each run last recorded anything."""
    moments = union_all(
        *(
            select(col(table.run_id), func.max(col(table.created_at)).label("moment"))
            .where(col(table.run_id).in_(runs))
            .group_by(col(table.run_id))
            for table in (Turn, StoredEntry, Claim, Checkpoint)
        )
    ).subquery()
    return select(moments.c.run_id, func.max(moments.c.moment)).group_by(moments.c.run_id)


def _ends(roots: Sequence[str]) -> Any:
    """Of each run of these workflow ids, its result and its last turn."""
    query = select(col(Run.id), col(Run.result), last_turn())
    return query.where(col(Run.workflow_id).in_(roots))


def _branch(
    ends: Mapping[str, _End],
    spent: Mapping[str, Spent],
    news: Mapping[str, datetime],
    root: _Relative,
    below: Mapping[str, _Relative],
) -> Branch:
    family = [root, *below.values()]
    moments = [[each.created_at, each.ended_at, news.get(each.id)] for each in family]
    result, head = ends[root.id]
    return Branch(
        run=root.id,
        head=head,
        result=AgentResult.model_validate(result) if result is not None else None,
        spent=sum((spent.get(each.id, Spent()) for each in family), Spent()),
        news=max(moment for each in moments for moment in each if moment is not None),
        open_below=tuple(each.workflow_id for each in below.values() if each.ended_at is None),
    )
