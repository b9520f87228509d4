"""Shims as processes of this machine, each detached from the worker that started it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from perdure.sandbox import inside
from perdure.sandbox.inside.operate import launch
from perdure.sandbox.inside.server import SOCKET
from perdure.sandbox.sandbox import SandboxLost
from perdure.sandbox.shim import Shim

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


async def connect(state: Path, kind: str) -> Shim:
    """A client of the shim that lives in this state folder.

    Raises:
        OSError: none listens there.
        SandboxLost: it is ending.
    """
    folder = os.open(state, os.O_PATH | os.O_DIRECTORY)
    try:  # by way of the folder: the whole path may be too long for a socket's address
        address = f"/proc/self/fd/{folder}/{SOCKET}"
        reader, writer = await asyncio.open_unix_connection(address)
    finally:
        os.close(folder)
    try:
        return await Shim.connect(reader, writer, kind=kind)
    except SandboxLost:
        writer.close()
        raise


async def start(state: Path) -> None:
    """Start a shim that outlives us, unless one lives there; its log says if it could not."""
    package = Path(inside.__file__).parent.parent
    with (state / "log").open("ab") as log:
        starter = await asyncio.create_subprocess_exec(
            _python(),
            *launch(str(package)),
            "start",
            str(state / "config.json"),
            env={"PATH": os.environ.get("PATH", PATH), "LANG": "C.UTF-8"},  # none of our keys
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        await starter.wait()


def _python() -> str:
    """Python as it is without its virtual environment, whose packages a shim has no use for."""
    return str(getattr(sys, "_base_executable", sys.executable))
