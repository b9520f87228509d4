"""One forked process for each command: starts it, collects its output, ends its whole tree.

It outlives the shim's server, in a session of its own; the kernel gives it every orphan of the
command (a sub-reaper), so that no process gets away from it.
"""

import ctypes
import json
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .launch import PIPE_BYTES, start
from .output import Output
from .processes import Tree
from .watch import Watch

_SET_CHILD_SUBREAPER = 36  # prctl
_GRACE_SECONDS = 1.0
"""Between the request to end and the end."""

_QUIET_SECONDS = 0.2
"""What a background process may still print once the command itself has ended."""

_EXCEEDED_FILE_SIZE = {-signal.SIGXFSZ, 128 + signal.SIGXFSZ}  # itself, or as its shell reports it


def supervise(
    config: dict[str, Any], command: dict[str, Any], stdin: bytes, folder: Path, lock: int
) -> None:
    """Be the supervisor of `command` until its result is written; for a child made by `child.fork`.

    `command`: `argv`, `environment`, `seconds`, `folder`. SIGTERM stops it, from the moment on
    when `folder`/pid is there with this process's id. `folder`/output grows while the command
    runs; `folder`/result appears in one piece: a line of JSON, then what is kept of the beginning
    and the end of the output. The file lock behind `lock` is held until this process has ended.
    """
    os.set_inheritable(lock, False)
    os.setsid()
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    supervision = _Supervision(config, command, folder)
    _write(folder / "pid", str(os.getpid()).encode())
    supervision.run(stdin)
    _write(folder / "result", supervision.result())


class _Supervision:
    def __init__(self, config: dict[str, Any], command: dict[str, Any], folder: Path) -> None:
        self._config = config
        self._command = command
        self._began = time.monotonic()
        self._stopping = False
        self._wakes = _catch_signals(self._stop)
        self._watch = Watch(config)
        self._output = Output(folder / "output", config["limits"]["output_bytes"])
        self._ended = "exit"
        self._deadline = self._began + _seconds(config, command)
        self._watch_at = self._began
        self._quiet_at: float | None = None
        self._kill_at: float | None = None
        self._open = True

    def run(self, stdin: bytes) -> None:
        """Start the command and return when nothing of it is left."""
        pid, self._source = start(self._config, self._command, stdin)
        self._tree = Tree(pid, namespace=self._config["enclosure"] == "bwrap")
        try:
            while not self._over():
                self._listen()
                self._tree.reap()
                self._look(time.monotonic())
        finally:
            self._tree.kill()
        self._drain()
        if self._ended == "exit":
            self._ended = self._unnoticed()

    def result(self) -> bytes:
        head, status = self._output.head(), self._tree.status
        header = {
            "state": "done",
            "code": None if status is None else os.waitstatus_to_exitcode(status),
            "ended": self._ended,
            "head": len(head),
            "total": self._output.total,
            "seconds": round(time.monotonic() - self._began, 4),
        }
        return json.dumps(header).encode() + b"\n" + head + self._output.tail()

    def _stop(self) -> None:
        self._stopping = True

    def _over(self) -> bool:
        if self._tree.gone:
            return True
        if self._kill_at is not None:
            return time.monotonic() >= self._kill_at
        if self._quiet_at is None:
            return False
        return not self._open or time.monotonic() >= self._quiet_at

    def _look(self, now: float) -> None:
        if self._tree.status is not None and self._quiet_at is None:
            self._quiet_at = now + _QUIET_SECONDS
        if self._kill_at is not None:
            return
        if self._stopping:
            self._end("stopped", now)
        elif self._quiet_at is None and now >= self._deadline:
            self._end("time", now)
        elif now >= self._watch_at:
            self._watch_at = now + self._watch.interval
            if limit := self._watch.exceeded():
                self._ended, self._kill_at = limit, now

    def _end(self, reason: str, now: float) -> None:
        self._ended, self._kill_at = reason, now + _GRACE_SECONDS
        self._tree.terminate()

    def _listen(self) -> None:
        sources = [self._source, self._wakes] if self._open else [self._wakes]
        ready, _, _ = select.select(sources, [], [], max(self._due() - time.monotonic(), 0))
        if self._wakes in ready:
            os.read(self._wakes, 4096)
        if self._source in ready:
            self._open = self._receive()

    def _due(self) -> float:
        """When something has to be done although nothing happens."""
        if self._kill_at is not None:
            return self._kill_at
        return min(self._watch_at, self._deadline if self._quiet_at is None else self._quiet_at)

    def _receive(self) -> bool:
        """Take what is in the pipe; False at its end."""
        try:
            chunk = os.read(self._source, PIPE_BYTES)
        except BlockingIOError:
            return True
        self._output.add(chunk)
        return bool(chunk)

    def _drain(self) -> None:
        """Take what the dead have left; what still grows must be someone else's."""
        before = -1
        most = self._output.total + PIPE_BYTES
        while before < self._output.total < most:
            before = self._output.total
            self._receive()

    def _unnoticed(self) -> str:
        status = self._tree.status
        if status is not None and os.waitstatus_to_exitcode(status) in _EXCEEDED_FILE_SIZE:
            return "disk"
        return self._watch.exceeded_at_last() or "exit"


def _seconds(config: dict[str, Any], command: dict[str, Any]) -> float:
    most: float = config["limits"]["seconds"]
    return most if command["seconds"] is None else min(command["seconds"], most)


def _catch_signals(stop: Callable[[], None]) -> int:
    """A descriptor that can be read when a child has ended or someone wants an end to it all."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: stop())
    return reading


def _write(file: Path, content: bytes) -> None:
    draft = file.with_name(f"{file.name}.tmp")
    draft.write_bytes(content)
    draft.replace(file)
