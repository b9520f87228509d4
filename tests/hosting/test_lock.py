"""Locks that end with their holder."""

import subprocess
import sys
from pathlib import Path

from perdure.hosting.lock import FileLock, is_held


def test_an_exclusive_lock_keeps_everyone_else_out(tmp_path: Path) -> None:
    """Neither a shared nor a second exclusive lock is to be had beside it."""
    first, second = FileLock(tmp_path / "l"), FileLock(tmp_path / "l")
    assert first.try_acquire()
    assert not second.try_acquire()
    assert not second.try_acquire(shared=True)
    first.release()
    assert second.try_acquire()


def test_shared_locks_go_together(tmp_path: Path) -> None:
    """Several may hold it shared, and none exclusively meanwhile."""
    first, second, third = (FileLock(tmp_path / "l") for _ in range(3))
    assert first.try_acquire(shared=True)
    assert second.try_acquire(shared=True)
    assert not third.try_acquire()


async def test_waiting_for_a_lock_has_an_end(tmp_path: Path) -> None:
    """A lock that stays with another is given up after the time."""
    first, second = FileLock(tmp_path / "l"), FileLock(tmp_path / "l")
    first.try_acquire()
    assert not await second.acquire(seconds=0.05)


def test_a_killed_holder_loses_the_lock(tmp_path: Path) -> None:
    """After kill -9 nobody has to clean up."""
    program = (
        "import sys, pathlib, perdure.hosting.lock;"
        "perdure.hosting.lock.FileLock(pathlib.Path(sys.argv[1])).try_acquire();"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path / "l"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout
        holder.stdout.readline()
        assert is_held(tmp_path / "l")
        holder.kill()
    assert not is_held(tmp_path / "l")


def test_a_note_beside_the_lock_replaces_the_earlier_one(tmp_path: Path) -> None:
    """A shorter note leaves nothing of a longer one."""
    lock = FileLock(tmp_path / "l")
    lock.write("a long note")
    lock.write("short")
    assert lock.read() == "short"
