"""The processes below a sub-reaper, as the kernel knows them."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

from perdure.sandbox.inside import processes
from perdure.sandbox.inside.child import fork
from perdure.sandbox.inside.processes import Tree

DAEMONS = "for i in 1 2 3; do (setsid sleep 60 &) ; done; sleep 60"


def in_child(work: Callable[[], None]) -> bool:
    """Whether `work` went well in a process of its own, which is a sub-reaper."""
    pid = fork(partial(reaping, work), keep=2)
    return os.waitpid(pid, 0)[1] == 0


def reaping(work: Callable[[], None]) -> None:
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    work()


def started(*argv: str) -> int:
    return subprocess.Popen(argv, start_new_session=True).pid


def until(condition: Callable[[], bool]) -> None:
    latest = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < latest
        time.sleep(0.01)


def test_daemons_are_found_below_their_sub_reaper() -> None:
    """Whoever forked them has gone; they belong to the command all the same."""

    def work() -> None:
        tree = Tree(started("sh", "-c", DAEMONS))
        until(lambda: len(list(processes.descendants())) == 5)
        tree.kill()

    assert in_child(work)


def test_nothing_is_left_of_a_tree_that_was_killed() -> None:
    """The kernel says so: this process has no child any more."""

    def work() -> None:
        main = started("sh", "-c", DAEMONS)
        until(lambda: len(list(processes.descendants())) == 5)
        tree = Tree(main)
        tree.kill()
        assert tree.gone and not list(processes.descendants())
        assert os.waitstatus_to_exitcode(tree.status or 0) == -signal.SIGKILL

    assert in_child(work)


def test_a_tree_knows_how_its_first_process_ended() -> None:
    """Its status, not that of an orphan that ended before or after it."""

    def work() -> None:
        tree = Tree(started("sh", "-c", "(sleep 0.1 &); exit 7"))
        until(lambda: tree.reap() or tree.gone)  # type: ignore[func-returns-value]
        assert os.waitstatus_to_exitcode(tree.status or 0) == 7

    assert in_child(work)


def test_memory_is_counted_with_and_without_what_is_shared() -> None:
    """A forked child seems to hold as much again, and holds next to nothing."""

    def work() -> None:
        script = "import os, time; x = bytearray(64 << 20); os.fork(); time.sleep(60)"
        tree = Tree(started(sys.executable, "-c", script))
        until(lambda: processes.resident(processes.descendants()) > 128 << 20)
        assert 64 << 20 < processes.proportional(processes.descendants()) < 100 << 20
        tree.kill()

    assert in_child(work)
