"""A command's time with the running parts: what it starts, follows, says and prints."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial

from temporalio.client import Client

from perdure.connection import has_worker
from perdure.console.display import got_by, print_result, say
from perdure.console.follow import follow, patiently, runs_team
from perdure.console.recorded import with_record
from perdure.console.views import RunView, TeamView, count_of_files, screen, store_of
from perdure.contracts import AgentResult, RunStatus
from perdure.errors import ServerError
from perdure.hosting.home import Home, differences
from perdure.hosting.parts import Parts, attached
from perdure.settings import Settings
from perdure.store.store import Store


class Session:
    def __init__(self, settings: Settings, parts: Parts) -> None:
        self._settings = settings
        self.parts = parts

    @property
    def client(self) -> Client:
        return self.parts.client

    def address(self, run_id: str) -> str | None:
        """The run's page in the Web UI."""
        if self.parts.ui_url is None:
            return None
        return f"{self.parts.ui_url}/namespaces/{self.client.namespace}/workflows/{run_id}"

    @contextmanager
    def detaching(self, run_id: str) -> Iterator[None]:
        """Have the run that is started here go on by itself; elsewhere every run does."""
        if self.parts.host is None:
            yield
            return
        home = Home(self._settings.home)
        known = run_id in home.detached()
        home.detach(run_id)  # first, so that a crash in between leaves no run that waits for ever
        try:
            yield
        except BaseException:
            if not known:
                home.forget(run_id)
            raise

    async def follow(
        self, run_id: str, *, as_json: bool, wanted: RunStatus = RunStatus.COMPLETED
    ) -> int:
        """Show the run until its end, print its answer, and give the command's exit code."""
        self._introduce(run_id)
        try:
            async with store_of(self._settings) as store:
                result, view = await self._shown(store, run_id)
                more = await view.more(self.client) if as_json else None
                if store is not None:
                    result = await with_record(result, store, run_id)
                files = await count_of_files(store, run_id) if store else 0
        except asyncio.CancelledError:
            say(f"\nRun {run_id} is kept. `starter.py watch {run_id}` goes on with it.")
            raise
        print_result(run_id, result, self.address(run_id), more)
        if files:
            say(got_by(run_id, files))
        return int(result.status != wanted)

    async def _shown(
        self, store: Store | None, run_id: str
    ) -> tuple[AgentResult, RunView | TeamView]:
        if not await patiently(self.parts, run_id, partial(runs_team, workflow_id=run_id)):
            run = RunView(store, run_id)
            return await follow(self.parts, run_id, run), run
        with screen() as show:
            team = TeamView(store, run_id, show)
            return await follow(self.parts, run_id, team), team

    def _introduce(self, run_id: str) -> None:
        address = self.address(run_id)
        say(f"run {run_id}" + (f" · {address}" if address else ""))
        if self.parts.host is None and self._settings.database_url is None:
            say("Its steps are shown where DATABASE_URL is set as the workers have it.")

    async def stay(self) -> int:
        """Keep the parts running until Ctrl-C."""
        host = self.parts.host
        if host is None:
            message = (
                "TEMPORAL_* configures a server elsewhere, so there is none to start here."
                " Start `worker.py`, or unset TEMPORAL_ADDRESS."
            )
            raise ServerError(message)
        say(f"Temporal server  {host.address}")
        say(f"HTTP API         {host.http_url or 'see that server'}")
        say(f"Web UI           {host.ui_url or 'see that server'}")
        say("Ctrl-C ends them, unless another command or a detached run needs them.")
        while True:
            await asyncio.sleep(1)
            await self.parts.refresh()


@asynccontextmanager
async def session(settings: Settings, host_command: Sequence[str]) -> AsyncIterator[Session]:
    """The server and the workers, with a word where a run would wait or be surprised."""
    async with attached(settings, host_command) as parts:
        if parts.host is None:
            if not await has_worker(parts.client):
                say("No worker serves this server yet, so runs wait. Start `worker.py` for it.")
        elif changed := differences(parts.host):
            say(
                f"The worker of {settings.home} was started with other values of"
                f" {', '.join(changed)}, which hold until its last command has ended"
                " (or `starter.py down`)."
            )
        if parts.host and parts.host.server == "found":
            say(f"Using the Temporal server that answers at {parts.host.address}.")
        yield Session(settings, parts)
