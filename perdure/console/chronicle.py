"""What happens to a run and to those below it, each thing told once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from perdure.contracts import AgentResult
from perdure.errors import UnknownRun
from perdure.store.family import Family
from perdure.store.store import Store
from perdure.store.tables import Run, StoredEntry, Turn

Row = Turn | StoredEntry
# Rows are stamped before they are committed, so one may appear behind another that was seen.
_OVERLAP = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Event:
    """Something of a run: a row; or, of one below the first, its beginning (None) or its end."""

    at: datetime
    run: Run
    what: Row | AgentResult | None
    steps_before: int
    """The run's own."""


class Feed:
    """The rows of one run, each given once."""

    def __init__(self, store: Store, run: Run) -> None:
        self._store = store
        self._run = run
        self._seen: set[str] = set()
        self._since: datetime | None = None

    async def news(self) -> list[Row]:
        """What has been stored since the last call."""
        rows = await self._store.news(self._run.id, self._since)
        if rows:
            self._since = rows[-1].created_at - _OVERLAP
        new = [row for row in rows if row.id not in self._seen]
        self._seen.update(row.id for row in new)
        return new


class Chronicle:
    def __init__(self, store: Store, workflow_id: str) -> None:
        self._store = store
        self.workflow_id = workflow_id
        self._top: Run | None = None
        self._feeds: dict[str, Feed] = {}
        self._ended: set[str] = set()

    async def news(self) -> list[Event]:
        """What has been stored since the last call, in order; nothing until the run is recorded."""
        try:
            self._top = self._top or await self._store.find_run(self.workflow_id)
        except UnknownRun:
            return []
        below = [each.run for each in await Family(self._store).of(self.workflow_id)]
        events = [event for run in (self._top, *below) for event in await self._of(run)]
        return sorted(events, key=lambda event: event.at)

    async def _of(self, run: Run) -> list[Event]:
        if run.id in self._ended:
            return []
        is_new = run.id not in self._feeds
        feed = self._feeds.setdefault(run.id, Feed(self._store, run))
        before = await self._store.steps_before(run)
        events = [Event(row.created_at, run, row, before) for row in await feed.news()]
        if run is self._top:
            return events
        if is_new:
            events.insert(0, Event(run.created_at, run, None, before))
        if run.result is not None:
            self._ended.add(run.id)
            end = AgentResult.model_validate(run.result)
            events.append(Event(run.ended_at or run.created_at, run, end, before))
        return events
