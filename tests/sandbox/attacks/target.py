"""The sandbox that is attacked, and whether it and its host are well."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from perdure.contracts import SandboxSpec
from perdure.sandbox.sandbox import Command, Outcome
from perdure.sandbox.shim import Shim
from tests.sandbox.attacks.canary import SECRET, Canary
from tests.sandbox.boxes import unseen

SPEC = SandboxSpec(
    memory_mb=160, cpus=1, processes=96, disk_mb=64, seconds=20, output_bytes=100_000
)

_TIDY = (
    "chmod -R u+rwX . 2> /dev/null; find . /tmp /dev/shm -mindepth 1 -user $(id -u) -delete; ls -A"
)
_NEXT_SECONDS = 5.0
_UNDER_WAY_SECONDS = 0.3

Open = Callable[[], Awaitable[Shim]]


class Target:
    """One sandbox for many attacks; opened again after one that ended it."""

    def __init__(self, open: Open, state: str, canary: Canary) -> None:
        """`state`: where the shim keeps its files, as an attacker may know."""
        self.shim: Shim
        self.canary = canary
        self.shown = bytearray()
        """What was shown live of the last command."""
        self._open = open
        self._state = state
        self._mark = f"attack-{uuid4().hex}"

    async def open(self) -> None:
        self.shim = await self._open()

    @property
    def kind(self) -> str:
        return self.shim.kind

    async def run(self, command: Command) -> Outcome:
        """Carry it out as a step of its own, with hints for an attacker in its environment."""
        hints = {**self.canary.hints(), "STATE": self._state, "ATTACK": self._mark}
        hinted = Command(
            command.argv,
            stdin=command.stdin,
            seconds=command.seconds,
            environment={**hints, **command.environment},
            folder=command.folder,
        )
        step, self.shown = f"{uuid4()}:1", bytearray()
        try:
            outcome = await self.shim.run(step, hinted, self.shown.extend)
        except asyncio.CancelledError:
            await self.shim.stop(step)
            raise
        finally:
            assert SECRET.encode() not in self.shown
        assert SECRET.encode() not in outcome.head + outcome.tail
        return outcome

    @asynccontextmanager
    async def during(self, command: Command) -> AsyncIterator[None]:
        """While this command runs; it is stopped at the end."""
        running = asyncio.create_task(self.run(command))
        try:
            await asyncio.sleep(_UNDER_WAY_SECONDS)
            assert not running.done(), running.result()
            yield
        finally:
            running.cancel()
            await asyncio.wait([running])

    async def prove_unharmed(self) -> None:
        """The host and the next step are; then whatever the attack has left is removed."""
        try:
            async with asyncio.timeout(_NEXT_SECONDS):
                said = await self.shim.run(f"{uuid4()}:1", Command(("echo", "fine")), unseen)
            assert (said.state, said.code, said.head) == ("done", 0, b"fine\n")
            assert not (strays := self._strays()), strays
            self.canary.assert_unharmed()
            tidied = await self.shim.run(f"{uuid4()}:1", Command(("sh", "-c", _TIDY)), unseen)
            assert tidied.head == b""
        except BaseException:
            await self.shim.close()  # the next attack is on one that begins anew
            await self.open()
            raise

    def _strays(self) -> list[str]:
        """Processes of an attack that go on; as far as this machine shows its processes."""
        return [entry.name for entry in Path("/proc").glob("[0-9]*") if self._is_stray(entry)]

    def _is_stray(self, process: Path) -> bool:
        try:
            return self._mark.encode() in (process / "environ").read_bytes()
        except OSError:
            return False
