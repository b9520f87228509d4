"""Starting a command: a forked child, its output, its input."""

import fcntl
import os
import signal
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from . import enclosure

_NICENESS = 10
"""On the host, where nothing else keeps a command from starving what watches it."""

PIPE_BYTES = 1 << 20
"""That a command can print ahead of who reads it."""


def start(config: dict[str, Any], command: dict[str, Any], stdin: bytes) -> tuple[int, int]:
    """The process id, and a descriptor, that never blocks, of what the command prints."""
    source, target = _pipe(config)
    pid = os.fork()
    if pid == 0:
        _be(config, command, stdin, target)
    os.close(target)
    return pid, source


def _be(config: dict[str, Any], command: dict[str, Any], stdin: bytes, target: int) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        os.setsid()
        # When memory runs out it is the command that the kernel kills, not what looks after it.
        Path("/proc/self/oom_score_adj").write_text("1000")
        if config["enclosure"] != "container":
            os.nice(_NICENESS)
        os.dup2(_readable(stdin), 0)
        os.dup2(target, 1)
        os.dup2(target, 2)
        environment = {**config["environment"], **command["environment"]}
        enclosure.execute(config, command["argv"], environment, command["folder"])
    except BaseException:  # noqa: BLE001 - nothing may return into the supervisor's stack
        traceback.print_exc()
    finally:
        os._exit(126)


def _pipe(config: dict[str, Any]) -> tuple[int, int]:
    """For the command's output: wide, for speed, and the agent's, whose /dev/stdout it is."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    if config["enclosure"] == "container":
        os.fchown(writing, config["uid"], config["uid"])
    with suppress(PermissionError):  # too many wide ones for one user already
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reading, writing


def _readable(stdin: bytes) -> int:
    if not stdin:
        return os.open(os.devnull, os.O_RDONLY)
    descriptor = os.memfd_create("stdin", os.MFD_ALLOW_SEALING)
    with os.fdopen(descriptor, "wb", closefd=False) as stream:
        stream.write(stdin)
    # It is memory that no limit sees, and a command must not add to it.
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
