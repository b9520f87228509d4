"""Sandboxes that a test opens in Docker, and that are removed after it."""

import asyncio
from typing import Self
from uuid import uuid4

from perdure.contracts import SandboxSpec
from perdure.sandbox.docker.backend import Docker
from perdure.sandbox.sandbox import Command, Outcome, Sandbox
from perdure.sandbox.shim import Shim


class Trial:
    """One data directory with several workers."""

    def __init__(self, image: str) -> None:
        self.image = image
        self.home = f"test-{uuid4().hex}"
        self._workers: list[Docker] = []
        self._shims: list[Shim] = []
        self._names: list[str] = []

    def name(self) -> str:
        """A sandbox's name that no other test has."""
        self._names.append(uuid4().hex)
        return self._names[-1]

    def worker(self) -> Docker:
        """A backend such as another worker process would have."""
        self._workers.append(Docker(self.image, self.home))
        return self._workers[-1]

    async def open(self, name: str, spec: SandboxSpec | None = None) -> Shim:
        """Open it by a worker of its own."""
        return await self.open_by(self.worker(), name, spec)

    async def open_by(self, worker: Docker, name: str, spec: SandboxSpec | None = None) -> Shim:
        shim = await worker.open(name, spec or SandboxSpec(memory_mb=256), details(name))
        self._shims.append(shim)
        return shim

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for shim in self._shims:
            await shim.close()
        last = self.worker()
        await asyncio.gather(*(last.remove(name) for name in self._names))
        for worker in self._workers:
            await worker.close()


def details(name: str) -> dict[str, str]:
    return {
        "workflow_id": f"agent-{name}",
        "run": f"run-{name}",
        "cluster": "c",
        "deadline": "1700000000",
    }


async def shell(sandbox: Sandbox, script: str) -> Outcome:
    """Run a script as a step of its own."""
    command = Command(("sh", "-c", script))
    return await sandbox.run(f"{uuid4()}:1", command, lambda _: None)
