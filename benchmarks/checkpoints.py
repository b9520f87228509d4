"""Milliseconds and stored bytes of a checkpoint, by the number of files in the workspace.

Each file has 4 KB; the sandbox is a folder in this process, so that no way to it is counted.

    python -m benchmarks.checkpoints [--files 10,1000,20000] [--rounds 5]
"""

import argparse
import asyncio
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from perdure.sandbox.files.checkpoints import Checkpoints
from perdure.sandbox.folder import Folder
from perdure.store.migrate import migrate
from perdure.store.store import Store

FILE = 4096
IN_FOLDER = 100
RUN = "run"


@dataclass(frozen=True)
class Measured:
    """One workspace."""

    files: int
    first: float
    """Milliseconds of the first checkpoint, which reads and stores every file."""
    unchanged: float
    """Of finding that nothing has changed."""
    changed: float
    """Of a checkpoint after one file was written."""
    restored: float
    first_bytes: int
    """In the store, of the first checkpoint."""
    changed_bytes: float
    """Of one with a single file that changed."""


class Workspace:
    """Files of text that is worth compressing, a hundred to a folder."""

    def __init__(self, place: Path, files: int) -> None:
        self.root = place / "workspace"
        self.sandbox = Folder(place)
        self._random = Random(files)
        self._files = [self.root / f"{n // IN_FOLDER}" / f"{n}.txt" for n in range(files)]
        for file in self._files:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._write(file)

    def change(self) -> None:
        self._write(self._random.choice(self._files))

    def _write(self, file: Path) -> None:
        file.write_text(self._random.randbytes(FILE // 2).hex())


async def measure(place: Path, files: int, rounds: int) -> Measured:
    database = place / "store.db"
    store = await Store.open(f"sqlite:///{database}")
    try:
        await migrate(store.engine)
        checkpoints = Checkpoints(store)
        workspace = await asyncio.to_thread(Workspace, place / "box", files)
        # Until the clock has gone on: what was written just now would be read once more.
        await asyncio.sleep(0.3)
        before = await _size(store, database)
        first = await _timed(lambda: _save(checkpoints, workspace, "first"))
        between = await _size(store, database)
        unchanged, changed = await _steps(checkpoints, workspace, rounds)
        after = await _size(store, database)
        restored = await _timed(lambda: _restore(checkpoints, place / "restored"))
    finally:
        await store.close()
    return Measured(
        files,
        first,
        statistics.median(unchanged),
        statistics.median(changed),
        restored,
        between - before,
        (after - between) / rounds,
    )


async def _steps(
    checkpoints: Checkpoints, workspace: Workspace, rounds: int
) -> tuple[list[float], list[float]]:
    unchanged, changed = [], []
    for number in range(rounds):
        unchanged.append(await _timed(lambda: _save(checkpoints, workspace, "none")))
        workspace.change()
        key = f"changed {number}"
        changed.append(await _timed(partial(_save, checkpoints, workspace, key)))
    return unchanged, changed


async def _save(checkpoints: Checkpoints, workspace: Workspace, key: str) -> None:
    saved = await checkpoints.save(RUN, workspace.sandbox, turn=None, key=key)
    assert (saved is None) == (key == "none")


async def _restore(checkpoints: Checkpoints, place: Path) -> None:
    (place / "workspace").mkdir(parents=True)
    await checkpoints.restore(RUN, Folder(place))


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1e3


async def _size(store: Store, database: Path) -> int:
    """Of the database as it is on disk, with all that was written to its log."""
    async with store.engine.connect() as connection:
        await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return await asyncio.to_thread(_pages, database)


def _pages(database: Path) -> int:
    with sqlite3.connect(database) as connection:
        return int(connection.execute("select sum(pgsize) from dbstat").fetchone()[0])


async def report(sizes: Sequence[int], rounds: int) -> None:
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}, {FILE} bytes a file")
    print(
        "| files | first, ms | unchanged, ms | one file changed, ms | restored, ms"
        " | stored first, bytes | stored for one file, bytes |"
    )
    print("|---|---|---|---|---|---|---|")
    for files in sizes:
        folder = tempfile.mkdtemp()
        try:
            print(_row(await measure(Path(folder), files, rounds)), flush=True)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder)


def _row(one: Measured) -> str:
    times = [one.first, one.unchanged, one.changed, one.restored]
    fields = [f"{one.files:,}", *(f"{each:,.0f}" for each in times)]
    return "| " + " | ".join([*fields, f"{one.first_bytes:,}", f"{one.changed_bytes:,.0f}"]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", default="10,1000,20000")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    asyncio.run(report([int(files) for files in options.files.split(",")], options.rounds))


if __name__ == "__main__":
    main()
