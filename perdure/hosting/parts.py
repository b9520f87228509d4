"""What a command needs of the running parts: a client, the Web UI, and that a worker is there."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from temporalio.client import Client

from perdure.connection import connect, is_configured
from perdure.errors import ServerError
from perdure.hosting.home import Home, HostRecord
from perdure.hosting.lock import FileLock
from perdure.hosting.logs import last_lines, open_log
from perdure.settings import Settings

_START_SECONDS = 90.0
_STOP_SECONDS = 40.0
"""A little more than the worker's grace and the server's stop together."""
_ATTACHED_SECONDS = 2.0
"""Longer than the host itself ever holds the clients' lock without ending."""
_POLL_SECONDS = 0.05


class Parts(Protocol):
    """The server and the workers, as a command sees them."""

    @property
    def client(self) -> Client: ...

    @property
    def ui_url(self) -> str | None: ...

    @property
    def host(self) -> HostRecord | None:
        """The home's own host; None when the server is configured and runs elsewhere."""

    async def refresh(self) -> None:
        """Bring back what has died since."""


class Elsewhere:
    """A configured server, with workers that others start."""

    host = None

    def __init__(self, client: Client, ui_url: str | None) -> None:
        self.client = client
        self.ui_url = ui_url

    async def refresh(self) -> None:
        """Nothing of it is ours to bring back."""


class Hosted:
    """The home's own host, started when it is not there."""

    def __init__(self, home: Home, command: Sequence[str]) -> None:
        self._home = home
        self._command = command
        self.host: HostRecord
        self.client: Client

    @property
    def ui_url(self) -> str | None:
        return self.host.ui_url

    async def refresh(self) -> None:
        known = getattr(self, "host", None)
        self.host = self._home.host() or await self._start()
        if known is None or known.address != self.host.address:
            self.client = await connect(self.host.address)

    async def _start(self) -> HostRecord:
        clock = asyncio.get_running_loop()
        deadline = clock.time() + _START_SECONDS
        before = _size(self._home)
        child: subprocess.Popen[bytes] | None = None
        while (record := self._home.host()) is None:
            if child and child.poll():
                raise ServerError(self._failure(child.pid, before))
            # A host that is there but not ready is starting or ending: it is waited for.
            if not self._home.has_host and (child is None or child.returncode is not None):
                child = self._spawn()
            if clock.time() > deadline:
                raise ServerError(_late(self._home))
            await asyncio.sleep(_POLL_SECONDS)
        return record

    def _spawn(self) -> subprocess.Popen[bytes]:
        try:
            log = open_log(self._home.host_log)
        except OSError as error:
            message = (
                f"The data directory {self._home.path} cannot be used any more: {error.strerror}."
                " Was it removed? Start again, or set PERDURE_HOME to another one."
            )
            raise ServerError(message) from None
        with log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C meant for the command must not reach the host
                env={**os.environ, "PERDURE_HOME": str(self._home.path)},
            )

    def _failure(self, pid: int, log_start: int) -> str:
        record = self._home.last_record()
        if record and record.pid == pid and record.problem:
            return record.problem
        log = self._home.host_log
        return f"The host did not start; its log {log} ends:\n{last_lines(log, since=log_start)}"


def _late(home: Home) -> str:
    return (
        f"The host of {home.path} has neither started nor ended within {_START_SECONDS:.0f} s;"
        f" see {home.host_log}, and stop it with `starter.py down`."
    )


def _size(home: Home) -> int:
    return home.host_log.stat().st_size if home.host_log.exists() else 0


@asynccontextmanager
async def attached(settings: Settings, host_command: Sequence[str]) -> AsyncIterator[Parts]:
    """Hold the server and the worker for as long as a command needs them."""
    if is_configured():
        yield Elsewhere(await connect(), settings.ui_url)
        return
    home = Home.prepare(settings.home)
    lock = FileLock(home.clients_lock)
    try:
        if not await lock.acquire(shared=True, seconds=_START_SECONDS):
            raise ServerError(_late(home))
        parts = Hosted(home, host_command)
        await parts.refresh()
        yield parts
    finally:
        lock.close()


def host_command(worker: str) -> list[str]:
    """How the host is started: the application's `worker.py`, by the Python that runs now."""
    return [sys.executable, worker, "--host"]


async def end_host(home: Home) -> HostRecord | None:
    """Stop the home's host, unless a command is attached; None when there is none."""
    lock = FileLock(home.clients_lock)
    try:
        if not await lock.acquire(seconds=_ATTACHED_SECONDS):
            message = (
                f"Another command uses {home.path}, and would start its host again."
                " End that command first, with Ctrl-C."
            )
            raise ServerError(message)
        return await _terminate(home)
    finally:
        lock.close()


async def _terminate(home: Home) -> HostRecord | None:
    record = home.host()
    if record is None:
        return None
    os.kill(record.pid, signal.SIGTERM)
    host = FileLock(home.host_lock)
    try:
        if not await host.acquire(seconds=_STOP_SECONDS):
            message = (
                f"The host of {home.path}, process {record.pid}, has been asked to end and has"
                f" not yet; see {home.host_log}."
            )
            raise ServerError(message)
    finally:
        host.close()
    return record
