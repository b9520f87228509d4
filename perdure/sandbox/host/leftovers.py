"""Processes that commands without an enclosure have left: found by a mark in their environment."""

import os
import signal
from contextlib import suppress
from pathlib import Path

MARK = "PERDURE_SANDBOX"


def kill_marked(mark: str) -> None:
    """Kill every process of ours whose commands bear this mark, until there is none."""
    wanted = f"{MARK}={mark}".encode(errors="surrogateescape")
    while found := [pid for pid in _processes() if wanted in _environment(pid)]:
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _environment(pid: int) -> list[bytes]:
    # That of a zombie is empty; of what is not ours or has gone there is nothing to be read.
    with suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []
