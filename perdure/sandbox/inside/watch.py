"""Looks after a command's limits while it runs; in a container the kernel sees to most of them."""

import os
import time
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from . import processes
from .growth import Growth

Limit = Literal["memory", "processes", "disk"]

_DISK_INTERVAL = 0.2

_TEMPORARY = (Path("/tmp"), Path("/dev/shm"))  # noqa: S108 - bubblewrap's own
_TEMPORARY_FILES = 50_000
"""In these together: their size is limited, but each file takes a kilobyte of other memory."""

_RESERVE_KB = 256 << 10
"""That no command may take of the machine's memory, in ways that its processes do not show."""

_COUNTERS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),  # version 1
)


class Watch:
    """Says which limit a command has exceeded."""

    def __init__(self, config: dict[str, Any]) -> None:
        limits = config["limits"]
        self._kind = config["enclosure"]
        self.interval = _DISK_INTERVAL if self._kind == "container" else 0.05
        """Seconds between two times to ask."""
        self._memory = limits["memory_mb"] << 20
        self._processes = limits["processes"]
        self._growth = Growth(config)
        self._kills = _kills()
        self._least_free_kb = min(_RESERVE_KB, _free_kb() // 2)
        self._disk_at = 0.0
        self._outside = {place.stat().st_dev for place in _TEMPORARY if place.exists()}

    def exceeded(self) -> Limit | None:
        """The limit that is exceeded now."""
        if self._kind != "container" and (limit := self._tree_limit()):
            return limit
        now = time.monotonic()
        if now >= self._disk_at:
            self._disk_at = now + _DISK_INTERVAL
            if self._growth.excessive():
                return "disk"
        return None

    def exceeded_at_last(self) -> Limit | None:
        """The limit that a command, now gone, had exceeded unnoticed."""
        if self._kind == "container" and _kills() > self._kills:
            return "memory"
        return "disk" if self._growth.excessive_at_last() else None

    def _tree_limit(self) -> Limit | None:
        command = (pid for pid in processes.descendants() if pid != self._growth.looker)
        # One more than allowed is enough: while there are thousands, counting them takes too long.
        pids = list(islice(command, self._processes + 1))
        if len(pids) > self._processes or processes.threads(pids) > self._processes:
            return "processes"
        if _free_kb() < self._least_free_kb:
            return "memory"
        # Forked processes share most of what each of them seems to hold.
        if processes.resident(pids) > self._memory and processes.proportional(pids) > self._memory:
            return "memory"
        if self._kind == "bwrap" and self._temporary_files(pids[1:2]) > _TEMPORARY_FILES:
            return "disk"
        return None

    def _temporary_files(self, first: list[int]) -> int:
        """Files that are not on the disk, as the first process within bubblewrap has them."""
        return sum(
            self._files(Path(f"/proc/{pid}/root{place}")) for pid in first for place in _TEMPORARY
        )

    def _files(self, place: Path) -> int:
        try:
            device, found = place.stat().st_dev, os.statvfs(place)
        except OSError:  # not mounted yet, or all have ended
            return 0
        return 0 if device in self._outside else found.f_files - found.f_ffree


def _free_kb() -> int:
    """Of the machine's memory, what can still be had."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))


def _kills() -> int:
    """How often the kernel killed for want of memory in this control group."""
    for file in _COUNTERS:
        if file.exists():
            counts = dict(line.split() for line in file.read_text().splitlines())
            return int(counts.get("oom_kill", 0))
    return 0
