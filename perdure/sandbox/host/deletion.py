"""Deleting the folder of a sandbox, whatever its agent has made of it."""

import asyncio
import subprocess
from pathlib import Path

from perdure.sandbox.sandbox import SandboxError


async def delete(place: Path) -> None:
    """Delete the folder; a deletion that is cut short leaves what it is found by.

    Raises:
        SandboxError: something in it cannot be deleted.
    """
    # These two cope with any depth, and follow no link.
    await _command("chmod", "-R", "u+rwX", str(place))
    if problem := await _command("rm", "-rf", *map(str, _folders(place)), str(place)):
        raise SandboxError(f"The sandbox {place} cannot be deleted: {problem}")


def _folders(place: Path) -> list[Path]:
    return [each for each in place.iterdir() if each.is_dir()]


async def _command(*argv: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, said = await process.communicate()
    return said.decode(errors="replace").strip() if process.returncode else ""
