"""Whether a workspace grows beyond what it may take of a disk that it shares.

Folders and named volumes have no quota. What is free on the file system is asked all the time,
which is cheap; only when so much of it is gone that the workspace may be too large are its own
files added up. That sum is kept in the state folder, with what was free then: many small
commands count as one large one does.
"""

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .disk import LEAST
from .look import Look

_SLACK = 1 << 20
"""By which a workspace that was too large before may still grow: to tidy up takes some room."""

_RESERVE = 128 << 20
"""That no command may take of the disk, however much it may have: others, and we, have to write."""

_STALE_SECONDS = 60.0
"""What others free hides what the workspace takes, so it is added up now and then anyway."""

_SETTLED_SECONDS = 1.0
"""A shorter command is looked at when it has ended, if nothing calls for it before."""

_FINAL_SECONDS = 5.0
_REST = 3
"""Between two looks, in times of what the last one took."""


@dataclass(frozen=True, slots=True)
class _Known:
    used: int
    free: int
    """Bytes on the file system when `used` was added up."""
    inodes: int
    """Free on it then."""
    at: float
    """Unix time."""


class Growth:
    """Follows the workspace during one command."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._most: int = config["limits"]["disk_mb"] << 20
        self._file = Path(config["state"], "disk.json")
        self._known = self._recall()
        self._free_before = self._free()[0]
        self._free_at_look = self._free()
        self._start = self._estimate()
        self._began = self._next = time.monotonic()
        self._look: Look | None = None

    @property
    def looker(self) -> int | None:
        """A process of ours among the command's."""
        return self._look.pid if self._look else None

    def excessive(self) -> bool:
        """Whether the command is known to have made it too large; begins to look if it may have."""
        if self._look is not None:
            return self._look.ready(0) and self._judge(self._look)
        if self._free()[0] < min(_RESERVE, self._free_before - _SLACK):
            return True
        now = time.monotonic()
        settled = now >= self._began + _SETTLED_SECONDS
        if now >= self._next and (self._suspicious() or (settled and self._stale())):
            self._look = self._begin_look()
        return False

    def excessive_at_last(self) -> bool:
        """As `excessive`, when nothing grows any more: waits for a look that is called for."""
        if self._look is not None:
            self._look.close()  # it was killed with the command
            self._look = None
        suspicious = self._suspicious()
        if not (suspicious or self._stale()):
            return False
        look = self._begin_look()
        if look.ready(_FINAL_SECONDS):
            return self._judge(look)
        os.kill(look.pid, signal.SIGKILL)
        look.close()
        return suspicious  # so many files that it is as good as known

    def _begin_look(self) -> Look:
        # Asked before, since the workspace may grow meanwhile: rather count that twice than never.
        self._free_at_look = self._free()
        return Look(self._config, self._most)

    def _judge(self, look: Look) -> bool:
        size, whole = look.answer()
        self._look = None
        self._next = time.monotonic() + _REST * (time.monotonic() - look.began)
        if whole:
            self._start = min(self._start, size)
        used = size if whole else max(size, self._estimate())
        self._keep(used, self._free_at_look)
        return self._exceeds(used)

    def _exceeds(self, used: int) -> bool:
        return used > self._most and used > self._start + _SLACK

    def _suspicious(self) -> bool:
        return self._exceeds(self._estimate())

    def _stale(self) -> bool:
        return time.time() > self._known.at + _STALE_SECONDS

    def _estimate(self) -> int:
        """What the workspace takes if all that changed on the file system is its doing."""
        free, inodes = self._free()
        files = (self._known.inodes - inodes) * LEAST
        return max(self._known.used + max(self._known.free - free, files), 0)

    def _free(self) -> tuple[int, int]:
        found = os.statvfs(self._config["root"])
        return found.f_bfree * found.f_frsize, found.f_ffree

    def _recall(self) -> _Known:
        try:
            return _Known(**json.loads(self._file.read_text()))
        except FileNotFoundError:
            return self._keep(0, self._free())

    def _keep(self, used: int, free: tuple[int, int]) -> _Known:
        self._known = _Known(used, *free, time.time())
        draft = self._file.with_name(f"disk.{os.getpid()}.tmp")
        draft.write_text(json.dumps(asdict(self._known)))
        draft.replace(self._file)
        return self._known
