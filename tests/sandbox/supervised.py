"""Commands under a real supervisor, for tests: in a folder, enclosed by bubblewrap or not."""

import fcntl
import json
import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from perdure.sandbox.inside.child import fork
from perdure.sandbox.inside.supervisor import supervise

LIMITS: dict[str, Any] = {
    "memory_mb": 300,
    "cpus": 2,
    "processes": 64,
    "disk_mb": 64,
    "seconds": 30,
    "output_bytes": 65536,
}


@dataclass(frozen=True)
class Ended:
    """What a supervisor wrote down, and how long the whole took."""

    header: dict[str, Any]
    data: bytes
    took: float

    @property
    def ended(self) -> str:
        return str(self.header["ended"])

    @property
    def code(self) -> int:
        return int(self.header["code"])

    @property
    def text(self) -> str:
        return self.data.decode()


class Running:
    """A command that has been begun."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.folder = folder
        self.pid = pid
        self._began = time.monotonic()

    def wait(self) -> Ended:
        os.waitpid(self.pid, 0)
        took = time.monotonic() - self._began
        header, _, data = (self.folder / "result").read_bytes().partition(b"\n")
        return Ended(json.loads(header), data, took)

    def until_printed(self, expected: bytes) -> None:
        """Return when the command has printed this, as others can see it live."""
        latest = time.monotonic() + 20
        output = self.folder / "output"
        while not (output.exists() and expected in output.read_bytes()):
            assert time.monotonic() < latest, f"{expected!r} was never printed"
            time.sleep(0.01)


class Box:
    """A sandbox without its server."""

    def __init__(self, folder: Path, enclosure: str) -> None:
        self.enclosure = enclosure
        self.workspace = folder / "workspace"
        self.state = folder / "state"
        self._steps = 0
        self.workspace.mkdir()
        self.state.mkdir()

    def config(self, **limits: Any) -> dict[str, Any]:
        return {
            "root": str(self.workspace),
            "state": str(self.state),
            "enclosure": self.enclosure,
            "uid": None,
            "network": False,
            "limits": LIMITS | limits,
            "environment": {"PATH": "/usr/local/bin:/usr/bin:/bin", "BOX": "yes"},
            "lease_seconds": 60,
        }

    def begin(
        self,
        script: str | list[str],
        *,
        stdin: bytes = b"",
        seconds: float | None = None,
        folder: str = ".",
        environment: dict[str, str] | None = None,
        **limits: Any,
    ) -> Running:
        """Begin a shell's script, or an argv."""
        argv = ["sh", "-c", script] if isinstance(script, str) else script
        variables = environment or {}
        command = {"argv": argv, "environment": variables, "seconds": seconds, "folder": folder}
        self._steps += 1
        place = self.state / str(self._steps)
        place.mkdir()
        lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        work = partial(supervise, self.config(**limits), command, stdin, place, lock)
        pid = fork(work, keep=lock)
        os.close(lock)
        return Running(place, pid)

    def run(self, script: str | list[str], **more: Any) -> Ended:
        return self.begin(script, **more).wait()
