"""Sandboxes in Docker: what a worker asks for, without blocking its loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from perdure.contracts import SandboxSpec
from perdure.sandbox.docker.containers import Containers
from perdure.sandbox.docker.engine import Engine
from perdure.sandbox.docker.stream import open_stream
from perdure.sandbox.found import Found
from perdure.sandbox.sandbox import SandboxError, SandboxLost
from perdure.sandbox.shim import Shim

_THREADS = 8

T = TypeVar("T")


class Docker:
    """The sandboxes of one data directory in the engine that `DOCKER_HOST` names.

    Podman's socket will do as well.
    """

    def __init__(self, image: str, home: str) -> None:
        """`image` is for specs that name none; `home` tells data directories apart."""
        self._image = image
        self._engine = Engine()
        self._containers = Containers(self._engine, image, home)
        # The SDK blocks, and the loop's own threads are for what ends soon.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="docker")

    async def problem(self, image: str | None = None) -> str | None:
        """Why there can be no sandbox in Docker here, and the cure; None when there can."""
        try:
            await self._blocking(lambda: self._engine.image(image or self._image))
        except (SandboxError, SandboxLost) as error:
            return str(error)
        return None

    async def open(self, name: str, spec: SandboxSpec, details: dict[str, str]) -> Shim:
        """The sandbox of that name: made, or found as an earlier worker left it, and running.

        `details`: `workflow_id`, `run`, and the `deadline` from which it may be an orphan.

        Raises:
            SandboxError: it cannot be made.
            SandboxLost: the engine or the sandbox does not answer now.
        """
        relay = await self._blocking(lambda: self._containers.open(name, spec, details))
        try:
            return await self._reach(name, relay)
        except SandboxLost as error:
            if why := await self._blocking(lambda: self._containers.stopped(name)):
                raise why from error
            raise

    async def _reach(self, name: str, relay: str) -> Shim:
        try:
            reader, writer = await open_stream(self._engine.address, relay)
        except OSError as error:
            raise SandboxLost(f"The sandbox '{name}' cannot be reached: {error}.") from error
        try:
            return await Shim.connect(reader, writer, kind="docker")
        except BaseException:
            writer.close()
            raise

    async def remove(self, name: str) -> None:
        """Remove its container and its volumes, as far as they are there."""
        await self._blocking(lambda: self._containers.remove(name))

    async def found(self) -> list[Found]:
        """Those of this data directory, also when only a volume is left of one."""
        return await self._blocking(self._containers.found)

    async def close(self) -> None:
        await self._blocking(self._engine.close)
        self._threads.shutdown(wait=False)

    async def _blocking(self, work: Callable[[], T]) -> T:
        working = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            # Or a container would be made after it has been looked for and removed.
            await asyncio.wait([working])
            raise
