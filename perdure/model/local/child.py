"""The local model's server as a child process: started on first use, again when it died."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from contextlib import suppress

from perdure.errors import UnknownModel
from perdure.model.local.gguf import find_gguf, require_engine

START_SECONDS = 60.0
"""Loading takes a second; a cold disk or a busy machine takes more."""
_LINES_KEPT = 20


class LocalModel:
    """Owns the child process. One event loop only; call `close` before that loop ends."""

    def __init__(self, gguf: str | None = None) -> None:
        self._gguf = gguf
        self._starting = asyncio.Lock()
        self._child: _Child | None = None

    async def url(self) -> str:
        """Base URL of the running server. Concurrent callers share one start."""
        async with self._starting:
            if self._child is None or not self._child.alive:
                require_engine()
                self._child = await _Child.start(str(find_gguf(self._gguf)))
            return self._child.url

    @property
    def pid(self) -> int | None:
        """Process id of the server, when it runs."""
        return self._child.pid if self._child and self._child.alive else None

    async def close(self) -> None:
        """End the server; a later `url` starts a new one."""
        async with self._starting:
            if self._child is not None:
                await self._child.end()
                self._child = None


class _Child:
    """One server process, and the last lines that it wrote on standard error."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._listening = asyncio.create_task(self._listen())
        self.pid = process.pid
        self.url = ""

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    @classmethod
    async def start(cls, gguf: str) -> "_Child":
        # A session of its own: Ctrl-C is for the worker, which may still need the model to finish.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "perdure.model.local.server", "--gguf", gguf),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        )
        child = cls(process)
        try:
            child.url = await child._ready()
        except BaseException:
            await child.end()
            raise
        return child

    async def end(self) -> None:
        """Kill the process; it holds nothing that is worth a gentler end."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._listening

    async def _ready(self) -> str:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await self._process.stdout.readline()
        except TimeoutError as error:
            raise self._failure(f"was not ready after {START_SECONDS:.0f} s") from error
        if not line:
            await self._listening
            raise self._failure("did not start")
        return str(json.loads(line)["url"])

    async def _listen(self) -> None:
        """Read standard error to its end, so that the pipe never fills."""
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._lines.append(line.decode(errors="replace").rstrip())

    def _failure(self, what: str) -> UnknownModel:
        said = "\n".join(self._lines) or "It wrote no message."
        return UnknownModel(
            f"The local model {what}. Mend the cause below, or use another model: "
            f"set OPENAI_API_KEY or OPENAI_BASE_URL.\n{said}"
        )
