"""Sandboxes on this machine for tests: several clients of each, and its processes to kill."""

import asyncio
import signal
from pathlib import Path
from typing import Any, Literal

from perdure.contracts import SandboxSpec
from perdure.sandbox.host.backend import Host
from perdure.sandbox.inside.holder import Holder
from perdure.sandbox.sandbox import Command
from perdure.sandbox.shim import Shim

DETAILS = {"run": "the-run", "workflow_id": "the-workflow", "cluster": "c", "deadline": "12.5"}


class Boxes:
    """The sandboxes of one folder; what is open is closed and removed at the end."""

    def __init__(self, root: Path, kind: Literal["bwrap", "none"] = "none") -> None:
        self.root = root
        self.host = Host(root, kind)
        self._clients: list[Shim] = []

    async def open(self, name: str = "box", **spec: Any) -> Shim:
        """One more client of the sandbox."""
        client = await self.host.open(name, SandboxSpec(**spec), DETAILS)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        for place in self.root.glob("*"):
            await self.host.remove(place.name)

    def file(self, name: str) -> Path:
        return self.root / "box" / "workspace" / name

    @property
    def server(self) -> Holder:
        return Holder(self.root / "box" / "state")

    def supervisor(self, step: str) -> Holder:
        return Holder(self.root / "box" / "state" / "steps" / step)

    async def kill(self, holder: Holder) -> None:
        """As by `kill -9`; it has ended when this returns."""
        while holder.is_running:
            holder.signal(signal.SIGKILL)
            await asyncio.sleep(0.01)

    def living(self) -> list[str]:
        """What still runs in the folder, or was started with its name."""
        return [line for line in map(_command_line, _pids()) if str(self.root) in line]


def shell(script: str, **more: Any) -> Command:
    return Command(("sh", "-c", script), **more)


async def until(file: Path) -> None:
    """Wait for a command to have made this file."""
    async with asyncio.timeout(20):
        while not file.exists():  # noqa: ASYNC240 - a stat
            await asyncio.sleep(0.01)


def unseen(_: bytes) -> None:
    """Output that a test does not look at."""


def _pids() -> list[str]:
    return [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _command_line(pid: str) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        environment = Path(f"/proc/{pid}/environ").read_text(errors="replace")
        return f"{words} {environment} {Path(f'/proc/{pid}/cwd').readlink()}"
    except OSError:
        return ""
