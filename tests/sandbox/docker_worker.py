"""A worker to be killed: opens a sandbox, runs a script as a step, and prints what that prints.

Arguments: image, home, name, step, script.
"""

import asyncio
import sys

from perdure.contracts import SandboxSpec
from perdure.sandbox.docker.backend import Docker
from perdure.sandbox.sandbox import Command
from tests.sandbox.docker_trial import details


async def main(image: str, home: str, name: str, step: str, script: str) -> None:
    docker = Docker(image, home)
    sandbox = await docker.open(name, SandboxSpec(memory_mb=256), details(name))
    await sandbox.run(step, Command(("sh", "-c", script)), show)


def show(printed: bytes) -> None:
    sys.stdout.buffer.write(printed)
    sys.stdout.buffer.flush()


asyncio.run(main(*sys.argv[1:]))
