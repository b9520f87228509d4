"""The processes below this one, a sub-reaper: listed, measured, signalled, reaped."""

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_LISTS_CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children").exists()
"""Whether the kernel was built to list a task's children (CONFIG_PROC_CHILDREN)."""

_PATIENCE_SECONDS = 10.0
"""For killed processes to be gone; only one that hangs in the kernel takes longer."""


class Tree:
    """What came from one command: all that is below this process, `main` foremost."""

    def __init__(self, main: int, *, namespace: bool = False) -> None:
        self.main = main
        self._namespace = namespace
        """Whether all but `main` are in a namespace of processes that ends with it."""
        self.status: int | None = None
        """Of `main`, as `waitpid` gives it; None while it runs."""
        self.gone = False
        """Whether the kernel says that none is left: orphans become a sub-reaper's children."""

    def reap(self) -> None:
        """Take note of what has ended."""
        pid = -1
        while pid:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.gone = True
                return
            if pid == self.main:
                self.status = status

    def terminate(self) -> None:
        """Ask all to end; but not bubblewrap, with which they would die unasked."""
        for pid in list(descendants()):
            if not (self._namespace and pid == self.main):
                send(signal.SIGTERM, pid)

    def kill(self) -> None:
        """Kill all, whatever they fork meanwhile, and wait until none is left."""
        latest = time.monotonic() + _PATIENCE_SECONDS
        self.reap()
        if self._namespace and self.status is None:
            send(signal.SIGKILL, self.main)  # the kernel ends the namespace in one step
            time.sleep(0.001)
            self.reap()
        while not self.gone and time.monotonic() < latest:
            _kill_descendants()
            time.sleep(0.001)
            self.reap()


def descendants() -> Iterator[int]:
    """All processes below this one, the nearest first; those that nobody has reaped too."""
    children = _listed if _LISTS_CHILDREN else _scanned()
    waiting = deque(children(os.getpid()))
    while waiting:
        pid = waiting.popleft()
        yield pid
        waiting += children(pid)


def threads(pids: Iterable[int]) -> int:
    """How many there are in these, the main ones included: each is one more for the kernel."""
    return sum(map(_threads, pids))


def resident(pids: Iterable[int]) -> int:
    """Bytes of memory that these hold; a page that several share counts for each of them."""
    return sum(map(_resident, pids))


def proportional(pids: Iterable[int]) -> int:
    """As `resident`, but what several share counts once; it takes much longer."""
    return sum(map(_proportional, pids))


def send(number: signal.Signals, pid: int) -> None:
    """Signal a process, or the group `-pid`; what has gone is left alone."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _kill_descendants() -> None:
    stopped: set[int] = set()
    # What is stopped forks no more: when a look finds nothing new, nothing can be added.
    while new := _stop_others(stopped):
        stopped |= new
    for each in stopped:
        send(signal.SIGKILL, each)


def _stop_others(stopped: set[int]) -> set[int]:
    """Stop what is below this process and is not `stopped` yet; groups count as `-id`.

    The kernel signals a group in one step, so that none of it can fork meanwhile: a fork bomb
    is still at once, where going from process to process would never catch up with it.
    Commands begin with a session of their own, so that no group below has a stranger in it.
    """
    new: set[int] = set()
    for pid in descendants():
        target = _target(pid)
        if target not in stopped and target not in new:
            send(signal.SIGSTOP, target)
            new.add(target)
    return new


def _target(pid: int) -> int:
    try:
        group = os.getpgid(pid)
    except ProcessLookupError:
        return pid
    return pid if group == os.getpgrp() else -group


def _listed(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for task in tasks for child in _read(task / "children").split()]


def _scanned() -> Callable[[int], list[int]]:
    children: dict[int, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        # The name of the program comes before, in brackets, and may hold anything.
        _, _, rest = _read(process / "stat").rpartition(b")")
        if rest:
            children.setdefault(int(rest.split()[1]), []).append(int(process.name))
    return lambda pid: children.get(pid, [])


def _threads(pid: int) -> int:
    try:
        return Path(f"/proc/{pid}/task").stat().st_nlink - 2
    except FileNotFoundError:
        return 0


def _resident(pid: int) -> int:
    counts = _read(Path(f"/proc/{pid}/statm")).split()
    return int(counts[1]) * _PAGE if counts else 0


def _proportional(pid: int) -> int:
    for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return _resident(pid)  # one that we may not look into, or that has ended


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
