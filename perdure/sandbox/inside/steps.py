"""Steps: each command is begun once for its step's id, and its outcome is kept on disk."""

import asyncio
import json
import os
import re
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from .child import fork
from .holder import PID, Holder, end, take
from .supervisor import supervise

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")
_LOOK_SECONDS = 0.05
_KEPT = 100
"""Steps whose outcome is kept: far more than can be asked for once more."""

Outcome = tuple[dict[str, Any], bytes]
"""How a command ended, and the head and the tail of what it printed."""


class Failed(Exception):
    """A request that cannot be carried out; a sentence for the operator."""


class Step(Holder):
    """A command that was begun, and the folder that its supervisor holds."""

    @property
    def digest(self) -> str:
        """Of the command: another one must not pass for it."""
        return str(json.loads((self.folder / "spec").read_bytes())["digest"])

    @property
    def has_begun(self) -> bool:
        """Whether its command may have been started: a supervisor first says who it is."""
        return self.is_running or (self.folder / PID).exists()

    def printed(self, start: int = 0) -> bytes:
        """What it has printed from byte `start` on, as far as that is the output's head."""
        with suppress(FileNotFoundError), (self.folder / "output").open("rb") as output:
            output.seek(start)
            return output.read()
        return b""

    def outcome(self) -> Outcome:
        """How it ended; `lost` if its supervisor has gone and left no result."""
        with suppress(FileNotFoundError, ValueError):
            header, _, printed = (self.folder / "result").read_bytes().partition(b"\n")
            return json.loads(header), printed
        printed = self.printed()
        lost = {"state": "lost", "code": None, "ended": "exit", "seconds": 0.0}
        return {**lost, "head": len(printed), "total": len(printed)}, printed


class Steps:
    """The steps of one sandbox, for the one server that it has."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self._folder = folder
        self._config = config
        self._ended = asyncio.Event()
        self._begun = 0
        folder.mkdir(mode=0o700, exist_ok=True)

    def find(self, id: str) -> Step | None:
        if not _ID.fullmatch(id):
            raise Failed(f"The step id {id!r} cannot name a folder: {_ID.pattern} is its form.")
        step = Step(self._folder / id)
        if step.has_begun:
            return step
        shutil.rmtree(step.folder, ignore_errors=True)  # of a server killed before it could fork
        return None

    def recall(self, id: str, digest: str) -> Step | None:
        """The step, which must be of the same command."""
        step = self.find(id)
        if step and step.digest != digest:
            raise Failed(
                f"The step {id} was begun with another command. A step's command must not change:"
                " give another command another step id."
            )
        return step

    def begin(self, id: str, digest: str, command: dict[str, Any], stdin: bytes) -> Step:
        """The step; its command is begun if it never was."""
        if step := self.recall(id, digest):
            return step
        self._begun += 1
        if self._begun % _KEPT == 0:
            self._prune()
        step, draft = Step(self._folder / id), self._folder / f".{id}"
        shutil.rmtree(draft, ignore_errors=True)  # of a server that was killed
        draft.mkdir(mode=0o700)
        (draft / "spec").write_text(json.dumps({"digest": digest}))
        lock = take(draft)
        assert lock is not None
        draft.rename(step.folder)
        try:
            fork(partial(supervise, self._config, command, stdin, step.folder, lock), keep=lock)
        finally:
            os.close(lock)
        return step

    def _prune(self) -> None:
        """Forget what old steps printed; that they began is never forgotten."""
        ended = [step for step in self._folder.iterdir() if (step / "result").exists()]
        for folder in sorted(ended, key=lambda step: step.stat().st_mtime)[:-_KEPT]:
            for file in ("output", "result"):
                (folder / file).unlink(missing_ok=True)

    async def follow(self, step: Step, show: Callable[[bytes], Awaitable[None]]) -> Outcome:
        """Show what the step prints, and has printed, until it ends."""
        shown = 0
        while True:
            running = step.is_running
            if fresh := step.printed(shown):
                await show(fresh)
                shown += len(fresh)
            if not running:
                return step.outcome()
            await self._wait()

    async def stop(self, step: Step) -> None:
        """End the step's processes; it returns when they have ended."""
        await end(step, self._wait)

    def running(self) -> list[Step]:
        """None when the sandbox itself has been removed."""
        with suppress(FileNotFoundError):
            steps = [Step(folder) for folder in self._folder.iterdir()]
            return [step for step in steps if step.is_running]
        return []

    def wake(self) -> None:
        """A child process has ended: let those who follow one look at once."""
        self._ended.set()
        self._ended = asyncio.Event()

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), _LOOK_SECONDS)
