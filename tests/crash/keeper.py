"""A worker process that is started again whenever it was killed."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from perdure.hosting import leash

ROOT = Path(__file__).resolve().parents[2]


class Keeper:
    """Keeps one `crashing_worker` alive for as long as its `async with` block lasts."""

    def __init__(self, log: Path, environment: Mapping[str, str]) -> None:
        self.kills = 0
        self.failure: asyncio.Task[None]
        """Done when the worker has ended otherwise than by a kill; raises what it said."""
        self._log = log
        self._environment = dict(environment)
        self._process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        await self._start()
        self.failure = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.failure.cancel()
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def kill(self) -> None:
        """Kill it now, and wait until another one runs; raises what one said that failed."""
        kills = self.kills
        with suppress(ProcessLookupError):
            self._process.kill()
        while self.kills == kills:
            if self.failure.done():
                self.failure.result()
            await asyncio.sleep(0.02)

    async def _start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-ISs", leash.__file__, str(os.getpid())),
                *(sys.executable, "-m", "tests.crash.crashing_worker"),
                env={**os.environ, **self._environment},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    async def _keep(self) -> None:
        while (code := await self._process.wait()) == -signal.SIGKILL:
            await self._start()
            self.kills += 1
        raise AssertionError(f"The worker ended with {code}:\n{self._log.read_text()[-2000:]}")
