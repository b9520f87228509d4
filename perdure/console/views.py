"""What is shown of a run, or of a team, while it goes on."""

import itertools
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import Any

from rich.live import Live
from temporalio.client import Client

from perdure.console.changes import Changes
from perdure.console.chronicle import Chronicle
from perdure.console.display import progress, say
from perdure.console.pending import Pending
from perdure.console.recorded import run_with_files, with_spending
from perdure.console.roster import screenful, told
from perdure.console.standing import PATIENCE, standings, team_state
from perdure.console.transcript import Transcript
from perdure.errors import UnknownRun
from perdure.settings import Settings
from perdure.store.family import Family
from perdure.store.files import Files
from perdure.store.reader import is_made, reading
from perdure.store.store import Store
from perdure.teams.contracts import TeamState

_LOOKS_BETWEEN_QUESTIONS = 4
"""The server is asked about once a second."""
_LAST_PATIENCE = timedelta(seconds=10)
"""With a team that has ended: what is not told then is never told."""


class RunView:
    """The steps of a run, and of those below it, as they come."""

    def __init__(self, store: Store | None, workflow_id: str) -> None:
        """Without a store, as where the workers keep theirs elsewhere, there are none."""
        self._store = store
        self._workflow_id = workflow_id
        self._chronicle = Chronicle(store, workflow_id) if store else None
        self._transcript = Transcript(progress(), top=workflow_id)
        self._pending = Pending()
        self._looks = itertools.count(1)

    async def look(self, client: Client, *, ended: bool) -> None:
        for event in await self._chronicle.news() if self._chronicle else []:
            self._transcript.tell(event)
        if not ended and next(self._looks) % _LOOKS_BETWEEN_QUESTIONS == 0:
            for news in await self._pending.news(client, self._workflow_id):
                say(news)

    async def more(self, client: Client) -> dict[str, Any]:
        """What JSON tells besides the result."""
        if self._store is None:
            return {}
        below = await Family(self._store).of(self._workflow_id)
        return {"below": await standings(below, client)} if below else {}


class TeamView:
    """How a team stands: a table on a terminal, elsewhere a line for each change."""

    def __init__(
        self, store: Store | None, workflow_id: str, show: Callable[[TeamState], None]
    ) -> None:
        self._family = Family(store) if store else None
        self._workflow_id = workflow_id
        self._show = show
        self._state: TeamState | None = None
        self._looks = itertools.count()

    async def look(self, client: Client, *, ended: bool) -> None:
        if not ended and next(self._looks) % _LOOKS_BETWEEN_QUESTIONS:
            return
        patience = _LAST_PATIENCE if ended else PATIENCE
        state = await team_state(client, self._workflow_id, patience)
        if state is None:
            return
        if self._family is not None:
            state = await with_spending(state, self._family)
        self._state = state
        self._show(state)

    async def more(self, client: Client) -> dict[str, Any]:
        """What JSON tells besides the result."""
        return {"team": told(self._state)} if self._state else {}


@contextmanager
def screen() -> Iterator[Callable[[TeamState], None]]:
    """What shows each state of a team on standard error."""
    console = progress()
    if not sys.stderr.isatty() or console.is_dumb_terminal:
        yield _lines()
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda state: live.update(screenful(state, console.height), refresh=True)


def _lines() -> Callable[[TeamState], None]:
    changes = Changes()

    def show(state: TeamState) -> None:
        for line in changes.since(state):
            say(line)

    return show


@asynccontextmanager
async def store_of(settings: Settings) -> AsyncIterator[Store | None]:
    """The store that the settings name; None where there is none."""
    if not is_made(settings):
        yield None
        return
    async with reading(settings) as store:
        yield store


async def count_of_files(store: Store, workflow_id: str) -> int:
    """How many files there are in the last recorded state of the run, or of a team's lead."""
    with suppress(UnknownRun):
        run = await run_with_files(store, workflow_id)
        files = Files(store)
        entries = await files.entries(await files.last(run.id))
        return sum(entry[0] == "f" for entry in entries.values())
    return 0
