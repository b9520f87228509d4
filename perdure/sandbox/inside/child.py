"""Forked children: they have nothing of the server but what they are given."""

import asyncio
import gc
import os
import signal
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from . import frames

_REPLACED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
"""Signals that the server handles; a child begins with the system's own handling."""


class Died(Exception):
    """A child ended, or was killed, before it had answered."""


def fork(work: Callable[[], object], keep: int) -> int:
    """Do `work` in a child that keeps one open file of ours; its process id."""
    # Blocked meanwhile: what is meant for the child must not get to the server's handlers.
    signal.pthread_sigmask(signal.SIG_BLOCK, _REPLACED)
    try:
        pid = os.fork()
        if pid == 0:
            _be(work, keep)  # never returns
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _REPLACED)


def _be(work: Callable[[], object], keep: int) -> NoReturn:
    code = 1
    try:
        _leave(keep)
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - nothing of a child may return into the server's stack
        traceback.print_exc()
    finally:
        os._exit(code)


def _leave(keep: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in _REPLACED:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _REPLACED)
    gc.freeze()  # or the server's own objects, when collected, close files that are new here
    os.closerange(3, keep)
    os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))
    os.umask(0o022)


async def ask(work: Callable[[], bytes], seconds: float) -> tuple[dict[str, Any], bytes]:
    """The message and data of the frame that `work` gives in a child.

    Raises:
        Died: it took longer, or ended without a frame.
    """
    reading, writing = os.pipe()
    try:
        pid = fork(partial(_write, writing, work), keep=writing)
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    return await _reply(reading, pid, seconds)


def _write(target: int, work: Callable[[], bytes]) -> None:
    # When memory runs out, it is not the server that the kernel kills.
    Path("/proc/self/oom_score_adj").write_text("500")
    os.dup2(target, 1)  # where `work` leaves its answer if it becomes another program
    os.close(target)
    with os.fdopen(1, "wb", closefd=False) as stream:
        stream.write(work())


async def _reply(source: int, pid: int, seconds: float) -> tuple[dict[str, Any], bytes]:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(source, "rb")
    )
    try:
        reply = await asyncio.wait_for(frames.receive(reader), seconds)
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        raise Died(f"It took longer than {seconds:g} seconds and was ended.") from None
    except asyncio.CancelledError:
        os.kill(pid, signal.SIGKILL)
        raise
    except frames.BrokenFrame:
        reply = None
    finally:
        transport.close()
    if reply is None:
        raise Died("The process that did it ended before it had answered.")
    return reply
