"""A run whose workers are killed with -9 while they carry out counting commands; a verdict."""

import asyncio
import os
import random
import re
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from perdure.hosting import leash
from tests.crash.sandbox_run import StoredRun
from tests.crash.sandbox_worker import BEGIN, GO_ON

ROOT = Path(__file__).parents[2]
COUNTING = (
    "date +%s%N; mkdir -p counters; sleep 0.05; echo x >> counters/{0}; sleep 0.05;"
    " wc -l < counters/{0}; date +%s%N"
)
"""Prints when it began, how often it was carried out so far, and when it ended."""
_PRINTED = re.compile(r"(\d+)\n(\d+)\n(\d+)\n")

RUNNING = ("printed", 0.05)
EACH = (
    ("acting", 0.0),  # nothing is done
    ("claiming", 0.0),
    ("claimed", 0.0),  # and not sent
    ("claimed", 0.04),  # while it is sent and begun
    RUNNING,
    ("ended", 0.0),
    ("ended", 0.03),  # in the checkpoint
    ("storing", 0.0),
    ("storing", 0.01),  # in the commit, or between two calls
    ("worker", 0.2),  # while it starts; only after another kill
)
"""A boundary, and seconds after it within which the worker is killed."""


@dataclass(frozen=True)
class Verdict:
    """What was found after the last kill."""

    seed: int
    kills: int
    while_running: int
    """Of these kills, how many struck while a command ran whose result is stored."""
    lines: Counter[int] = field(repr=False)
    """How often each call's command took effect."""
    statuses: Counter[str | None]
    wrong: list[str] = field(repr=False)
    """Results that are not what one undisturbed command prints."""

    @property
    def repeated(self) -> int:
        return sum(times > 1 for times in self.lines.values())


class KillTrial:
    """Has `calls` calls of the run carried out, by as many workers as it takes."""

    def __init__(self, run: StoredRun, calls: int, tool: Literal["once", "plain"]) -> None:
        self._run = run
        self._calls = calls
        self._tool = tool
        self._seed = random.SystemRandom().randrange(10**6)
        self._random = random.Random(self._seed)
        self._planned: dict[tuple[int, str], list[float]] = defaultdict(list)
        self._call = 0
        self._kills: list[int] = []
        """When, in nanoseconds."""

    async def carry_out(self, moments: Sequence[tuple[str, float]]) -> Verdict:
        """Carry them all out with a kill at each of these moments, in calls chosen by chance."""
        print(f"seed {self._seed}")  # noqa: T201 - what a failure is repeated with
        self._plan(moments)
        for number in range(1, self._calls + 1):
            await self._run.add(COUNTING.format(number), self._tool)
        await self._start()
        try:
            while not await self._live():
                pass
        finally:
            assert self._source.stdin is not None
            self._source.stdin.close()  # where a worker still waits for an answer, it ends
            await self._source.wait()
        return await self._judge()

    def _plan(self, moments: Sequence[tuple[str, float]]) -> None:
        usual = [moment for moment in moments if moment[0] != "worker"]
        chosen = self._random.choices(range(1, self._calls + 1), k=len(usual))
        for call, (boundary, most) in zip(chosen, usual, strict=True):
            self._planned[call, boundary].append(self._random.uniform(0, most))
        for boundary, most in moments:
            if boundary == "worker":
                call = self._random.choice(chosen)
                self._planned[call, boundary].append(self._random.uniform(0, most))

    async def _start(self) -> None:
        others = {name: text for name, text in os.environ.items() if name != "DATABASE_URL"}
        with (self._run.home / "worker.log").open("ab") as log:
            self._source = await asyncio.create_subprocess_exec(
                *(sys.executable, "-ISs", leash.__file__, str(os.getpid())),
                *(sys.executable, "-m", "tests.crash.sandbox_worker"),
                *(self._run.id, str(self._calls), self._run.place.kind),
                env={**others, "PERDURE_HOME": str(self._run.home)},
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )

    async def _live(self) -> bool:
        """One worker's life; whether it came to the end of the work."""
        self._send(BEGIN)
        pid = 0
        while (heard := await self._hear())[0] != "over":
            match heard:
                case ["worker", number]:
                    pid = int(number)
                case ["acting", number]:
                    self._call = int(number)
            if delays := self._planned[self._call, heard[0]]:
                await self._kill(pid, delays.pop())
                return False
            self._send(GO_ON)
        assert heard[1] == "0", (self._run.home / "worker.log").read_text()[-3000:]
        return True

    async def _kill(self, pid: int, delay: float) -> None:
        if delay:
            self._send(GO_ON)
            await asyncio.sleep(delay)
        self._kills.append(time.time_ns())
        os.kill(pid, signal.SIGKILL)  # not reaped before the line that is waited for here
        while (await self._hear())[0] != "over":
            pass

    def _send(self, order: bytes) -> None:
        assert self._source.stdin is not None
        self._source.stdin.write(order)

    async def _hear(self) -> list[str]:
        assert self._source.stdout is not None
        line = await self._source.stdout.readline()
        assert line, (self._run.home / "worker.log").read_text()[-3000:]
        return line.decode().split()

    # The verdict

    async def _judge(self) -> Verdict:
        statuses: Counter[str | None] = Counter()
        texts = []
        for number in range(1, self._calls + 1):
            result = await self._run.result(number)
            statuses[result.status if result else None] += 1
            texts.append(result.text if result else "")
        found = [_PRINTED.match(text) for text in texts]
        return Verdict(
            seed=self._seed,
            kills=len(self._kills),
            while_running=sum(
                int(each[1]) <= kill <= int(each[3])
                for each in found
                if each is not None
                for kill in self._kills
            ),
            lines=Counter(dict(await self._lines())),
            statuses=statuses,
            wrong=[
                text
                for text, each in zip(texts, found, strict=True)
                if each is None or each[2] != "1"
            ],
        )

    async def _lines(self) -> list[tuple[int, int]]:
        told = await self._run.carry_out("cd counters && grep -c x *")
        found = re.findall(r"\b(\d+):(\d+)$", told, re.MULTILINE)
        return [(int(call), int(lines)) for call, lines in found]
