"""Text in files: replaced in one step, and not read where that would never end."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.sandbox.inside.refusal import Refused, explained
from perdure.sandbox.inside.text import LONGEST, opened, opened_bytes, replace


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def killed_while_writing(file: Path, *, key: str) -> None:
    """Write `file` in a process that the system kills at the thousandth byte."""
    program = (
        "import pathlib, resource, signal\n"
        "from perdure.sandbox.inside.text import replace\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        f"replace(pathlib.Path({str(file)!r}), b'x' * 9999, key={key!r})\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGXFSZ


def test_a_killed_write_leaves_the_old_file_and_its_retry_no_draft(tmp_path: Path) -> None:
    """The next attempt of the same call removes the draft; another call's draft stays."""
    file = tmp_path / "a"
    file.write_text("old")
    for key in ("one", "two"):
        killed_while_writing(file, key=key)
    assert file.read_text() == "old"
    assert len(names(tmp_path)) == 3
    replace(file, b"new", key="one")
    assert file.read_text() == "new"
    assert len(names(tmp_path)) == 2


def test_an_endless_file_is_not_read_through(tmp_path: Path) -> None:
    """A hole of terabytes takes no space, and hours to read."""
    with (tmp_path / "sparse").open("wb") as file:
        file.write(b"x" * 10_000)
        file.truncate(LONGEST + 1)
    with pytest.raises(Refused, match="too large to read"), opened(tmp_path / "sparse", "sparse"):
        pass


def test_a_link_that_took_the_files_place_is_not_followed(tmp_path: Path) -> None:
    """A command can exchange a file for a link after its path was looked at."""
    (tmp_path / "secret").touch()
    (tmp_path / "link").symlink_to("secret")
    with pytest.raises(Refused, match="not a regular file"):
        opened_bytes(tmp_path / "link", "link")


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "disk is full; delete what is not needed"),
        (errno.EDQUOT, "share of the disk is used up"),
        (errno.EACCES, "permission is denied"),
        (errno.EISDIR, "'a' cannot be written: Is a directory."),
    ],
)
def test_what_the_system_refuses_is_a_sentence(number: int, sentence: str) -> None:
    """The model is told what it can do about it."""
    with pytest.raises(Refused, match=sentence), explained("written", "a"):
        raise OSError(number, os.strerror(number))
