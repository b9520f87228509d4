"""How runs have ended."""

from collections.abc import Iterable

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from perdure.contracts import AgentResult
from perdure.store.store import Store, portions
from perdure.store.tables import Run


class Results:
    """The recorded ends of runs. Read anew each time: any worker may have recorded one."""

    def __init__(self, store: Store) -> None:
        self._engine = store.engine

    async def of(self, runs: Iterable[str]) -> dict[str, AgentResult]:
        """By the run's id; those of which none is recorded are left out."""
        found: dict[str, AgentResult] = {}
        async with AsyncSession(self._engine) as session:
            for ids in portions(sorted(set(runs))):
                query = select(Run.id, Run.result).where(col(Run.id).in_(ids))
                rows = await session.exec(query)
                found |= {id: AgentResult.model_validate(result) for id, result in rows if result}
        return found
