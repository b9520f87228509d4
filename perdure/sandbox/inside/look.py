"""A child process that adds up what a workspace takes, as the agent's own user."""

import os
import select
import signal
import struct
import time
import traceback
from typing import Any, NoReturn

from . import enclosure, processes
from .disk import Usage

_ANSWER = struct.Struct("q?")


class Look:
    """One look at the workspace; `pid` is the process that takes it."""

    def __init__(self, config: dict[str, Any], most: int) -> None:
        self.began = time.monotonic()
        pids = list(processes.descendants())
        self._source, target = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _be(target, config, most, pids)
        os.close(target)

    def ready(self, seconds: float) -> bool:
        """Whether it has an answer, after waiting for so long at most."""
        return bool(select.select([self._source], [], [], seconds)[0])

    def answer(self) -> tuple[int, bool]:
        """Bytes, and whether all could be seen; nothing was seen by one that was killed."""
        with os.fdopen(self._source, "rb") as stream:
            answer = stream.read()
        return _ANSWER.unpack(answer) if answer else (0, False)

    def close(self) -> None:
        """Do without its answer."""
        os.close(self._source)


def _be(target: int, config: dict[str, Any], most: int, pids: list[int]) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        enclosure.drop(config)
        usage = Usage(most)
        usage.add_deleted(config["root"], pids)
        usage.add_below(config["root"])
        os.write(target, _ANSWER.pack(usage.size, usage.whole))
    except BaseException:  # noqa: BLE001 - nothing may return into the supervisor's stack
        traceback.print_exc()
    finally:
        os._exit(0)
