"""The host: the one process of a home that has the server and the worker, while they are needed."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from perdure.connection import USUAL_ADDRESS, connect
from perdure.errors import PerdureError, ServerError
from perdure.hosting.home import Home, HostRecord, fingerprints
from perdure.hosting.lock import FileLock
from perdure.hosting.ports import is_free
from perdure.hosting.server import EmbeddedServer
from perdure.settings import Settings

_IDLE_POLL_SECONDS = 0.5
_FOUND_TIMEOUT = timedelta(seconds=2)
_CRASHES, _CRASH_SECONDS = 3, 60.0

logger = logging.getLogger(__name__)


class HostExists(ServerError):
    """The home has a host already."""


class Host:
    """A home's host, between taking and losing its lock."""

    def __init__(
        self, home: Home, client: Client, server: EmbeddedServer | None, ui: str | None
    ) -> None:
        self.home = home
        self.client = client
        self._server = server
        self._ui_url = ui
        self._clients = FileLock(home.clients_lock)

    @property
    def is_guest(self) -> bool:
        """Whether the server is one that somebody else runs."""
        return self._server is None

    def announce(self) -> None:
        """Tell the home's commands that the server and the worker are ready."""
        self.home.announce(
            HostRecord(
                pid=os.getpid(),
                server="embedded" if self._server else "found",
                address=self.client.service_client.config.target_host,
                ui_url=self._ui_url,
                http_url=self._server.http_url if self._server else None,
                environment=fingerprints(os.environ),
            )
        )

    async def stay(self, stop: asyncio.Event, *, unasked: bool) -> None:
        """Wait until `stop` is set or, for a host that was started `unasked`, nobody needs it."""
        reasons = [stop.wait(), self._keep_server(), *([self._unneeded()] if unasked else [])]
        tasks = [asyncio.ensure_future(reason) for reason in reasons]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            self.home.withdraw()

    async def _keep_server(self) -> None:
        """Start the server again whenever it dies; a server that keeps dying is an error."""
        if self._server is None:
            await asyncio.Event().wait()
            return
        clock = asyncio.get_running_loop()
        crashes: list[float] = []
        while True:
            code = await self._server.died()
            crashes = [moment for moment in crashes if clock.time() - moment < _CRASH_SECONDS]
            crashes.append(clock.time())
            if len(crashes) > _CRASHES:
                message = (
                    f"The embedded Temporal server keeps ending (exit code {code});"
                    f" its log {self._server.log} says why."
                )
                raise ServerError(message)
            logger.warning("The Temporal server ended (exit code %s); starting it again.", code)
            await self._server.launch()

    async def _unneeded(self) -> None:
        """Wait until no command is attached and no detached run is open.

        On return the clients' lock is held until this process ends, so that a new command
        waits for the end and then starts a new host.
        """
        while True:
            if self._clients.try_acquire():
                if not await self._open_detached():
                    return
                self._clients.release()
            await asyncio.sleep(_IDLE_POLL_SECONDS)

    async def _open_detached(self) -> bool:
        any_open = False
        for workflow_id in self.home.detached():
            if await self._is_open(workflow_id):
                any_open = True
            else:
                self.home.forget(workflow_id)
        return any_open

    async def _is_open(self, workflow_id: str) -> bool:
        try:
            handle = self.client.get_workflow_handle(workflow_id)
            run = await handle.describe(rpc_timeout=timedelta(seconds=5))
        except RPCError as error:
            # A server that does not answer now may still hold an open run.
            return error.status != RPCStatusCode.NOT_FOUND
        return run.status == WorkflowExecutionStatus.RUNNING


@asynccontextmanager
async def hosting(settings: Settings, *, patience: float) -> AsyncIterator[Host]:
    """Become the home's host, with its server.

    Raises:
        HostExists: another process is it, and has not ended within `patience` seconds.
    """
    home = Home.prepare(settings.home)
    lock = FileLock(home.host_lock)
    if not await lock.acquire(seconds=patience):
        lock.close()
        raise HostExists(_already_served(home))
    home.withdraw()
    try:
        async with _server(settings, home) as (client, server, ui_url):
            yield Host(home, client, server, ui_url)
    except PerdureError as error:
        home.announce(HostRecord(pid=os.getpid(), problem=str(error)))
        raise
    # The lock is not released but ends with the process, after everything else.


@asynccontextmanager
async def _server(
    settings: Settings, home: Home
) -> AsyncIterator[tuple[Client, EmbeddedServer | None, str | None]]:
    if not home.has_server and settings.port is None and (found := await _found()):
        yield found, None, settings.ui_url or _usual_ui()
        return
    server = await EmbeddedServer.start(settings)
    try:
        yield await connect(server.address), server, server.ui_url
    finally:
        await server.stop()


async def _found() -> Client | None:
    """The server that someone runs on Temporal's own default address, if there is one."""
    try:
        return await connect(USUAL_ADDRESS, timeout=_FOUND_TIMEOUT)
    except ServerError:
        return None


def _usual_ui() -> str | None:
    return None if is_free(8233) else "http://127.0.0.1:8233"


def _already_served(home: Home) -> str:
    record = home.last_record()
    who = f"process {record.pid}" if record else "another process"
    address = f" with TEMPORAL_ADDRESS={record.address}" if record else ""
    return (
        f"{who.capitalize()} already runs the server and a worker of {home.path}."
        f" Start further workers{address}, or stop that process with `starter.py down`."
    )
