"""Following a run: what the store learns of it, until Temporal says that it has ended."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import CancelledError, TerminatedError
from temporalio.service import RPCError, RPCStatusCode

from perdure.console.display import say
from perdure.console.pending import Pending
from perdure.contracts import AgentResult, RunStatus, Usage
from perdure.errors import UnknownRun
from perdure.hosting.parts import Parts
from perdure.settings import Settings
from perdure.store.files import Files
from perdure.store.reader import is_made, reading
from perdure.store.store import Store
from perdure.store.tables import Run, StoredEntry, Turn

Row = Turn | StoredEntry

_POLL_SECONDS = 0.3
_POLLS_BETWEEN_NEWS = 3
# Rows are stamped before they are committed, so one may appear behind another that was seen.
_OVERLAP = timedelta(seconds=10)

_PASSING = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.UNKNOWN,
}


class Feed:
    """The rows of one run, each given once."""

    def __init__(self, store: Store | None, workflow_id: str) -> None:
        """Without a store, as where the workers keep theirs elsewhere, there is never news."""
        self._store = store
        self.workflow_id = workflow_id
        self._seen: set[str] = set()
        self._since: datetime | None = None
        self.run: Run | None = None
        self.steps_before = 0

    async def news(self) -> list[Row]:
        """What has been stored since the last call; nothing until the run is recorded."""
        if self._store is None:
            return []
        if self.run is None:
            with suppress(UnknownRun):
                self.run = await self._store.find_run(self.workflow_id)
                self.steps_before = await self._store.steps_before(self.run)
        if self.run is None:
            return []
        rows = await self._store.news(self.run.id, self._since)
        if rows:
            self._since = rows[-1].created_at - _OVERLAP
        new = [row for row in rows if row.id not in self._seen]
        self._seen.update(row.id for row in new)
        return new

    async def files(self) -> int:
        """How many files the run has left, as far as that is known here."""
        if self._store is None or self.run is None:
            return 0
        return await count_of_files(self._store, self.run.id)


async def count_of_files(store: Store, run: str) -> int:
    """How many files there are in the last recorded state of the run."""
    files = Files(store)
    entries = await files.entries(await files.last(run))
    return sum(entry[0] == "f" for entry in entries.values())


@asynccontextmanager
async def feed_of(settings: Settings, workflow_id: str) -> AsyncIterator[Feed]:
    """The run's feed from the store that the settings name."""
    if not is_made(settings):
        yield Feed(None, workflow_id)
        return
    async with reading(settings) as store:
        yield Feed(store, workflow_id)


async def follow(
    parts: Parts, feed: Feed, workflow_id: str, show: Callable[[Row, int], None]
) -> AgentResult:
    """Show each row of the run as it comes, with the steps before the run; give its result.

    What dies meanwhile is brought back: the run goes on, and so does this.
    """
    while True:
        result = asyncio.ensure_future(result_of(parts.client, workflow_id))
        try:
            await _until(result, parts, feed, show)
            return result.result()
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                raise _unknown(workflow_id) from error
            if error.status not in _PASSING:
                raise
            await parts.refresh()
            await asyncio.sleep(_POLL_SECONDS)
        finally:
            result.cancel()


async def _until(
    result: asyncio.Future[AgentResult], parts: Parts, feed: Feed, show: Callable[[Row, int], None]
) -> None:
    client, ended, pending = parts.client, False, Pending()
    polls = itertools.count(1)
    while not ended and parts.client is client:
        done, _ = await asyncio.wait([result], timeout=_POLL_SECONDS)
        ended = bool(done)
        for row in await feed.news():
            show(row, feed.steps_before)
        if not ended:
            await parts.refresh()
            if next(polls) % _POLLS_BETWEEN_NEWS == 0:
                for news in await pending.news(client, feed.workflow_id):
                    say(news)


async def result_of(client: Client, workflow_id: str) -> AgentResult:
    """The run's result; one for a run, too, that ended without giving any."""
    handle: WorkflowHandle[Any, AgentResult] = client.get_workflow_handle(
        workflow_id, result_type=AgentResult
    )
    try:
        return await handle.result()
    except WorkflowFailureError as error:
        cause = error.cause
        status = RunStatus.CANCELLED if isinstance(cause, CancelledError) else RunStatus.FAILED
        what = "The run was terminated" if isinstance(cause, TerminatedError) else "The run failed"
        return AgentResult(
            status=status, answer="", reason=f"{what}: {cause}", head=None, steps=0, usage=Usage()
        )


def _unknown(workflow_id: str) -> UnknownRun:
    return UnknownRun(
        f"Run '{workflow_id}' is unknown to the Temporal server. `starter.py list` names the runs."
    )
