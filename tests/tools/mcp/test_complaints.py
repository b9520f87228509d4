"""What servers say on standard error goes to a log that cannot fill the disk."""

import asyncio
import os
from pathlib import Path

from perdure.tools.mcp.complaints import complaints


async def test_what_is_said_is_in_the_log(tmp_path: Path) -> None:
    """Also what is said in the last moment, after what earlier servers said."""
    log = tmp_path / "docs.log"
    log.write_text("before\n")
    with complaints(log) as pipe:
        pipe.write("hello\n")
        pipe.flush()
        await asyncio.sleep(0.1)
        pipe.write("goodbye\n")
    assert log.read_text() == "before\nhello\ngoodbye\n"


async def test_a_log_that_grows_large_begins_anew(tmp_path: Path) -> None:
    """However long the server lives."""
    log = tmp_path / "docs.log"
    with complaints(log) as pipe:
        await asyncio.to_thread(_write, pipe.fileno(), 20_000_000)
    sizes = [file.stat().st_size for file in (log, tmp_path / "docs.log.1")]
    assert sum(sizes) < 13_000_000


def _write(descriptor: int, size: int) -> None:
    left = size
    while left > 0:
        left -= os.write(descriptor, b"x" * min(left, 65_536))
