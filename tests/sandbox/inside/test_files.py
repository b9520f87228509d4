"""Files in a workspace: their end and their bytes; the tests of the tools have the rest."""

from pathlib import Path

import pytest

from perdure.sandbox.inside.files import read_bytes, tail_file, write_file
from perdure.sandbox.inside.refusal import Refused


def test_the_last_lines(tmp_path: Path) -> None:
    """With or without an end of the last one; bytes that are no text are shown as what they are."""
    (tmp_path / "log").write_bytes(b"one\ntwo\r\n caf\xe9")
    assert tail_file(tmp_path, path="log", lines=2) == "two\r\n caf\\xe9"
    assert tail_file(tmp_path, path="log", lines=9) == "one\ntwo\r\n caf\\xe9"
    (tmp_path / "log").write_bytes(b"")
    assert not tail_file(tmp_path, path="log", lines=9)


def test_the_end_of_an_endless_file(tmp_path: Path) -> None:
    """Only its last megabyte is read, and no half line is shown."""
    with (tmp_path / "log").open("wb") as file:
        file.seek(2**40)
        file.write(b"the start of this line is lost" * 10 + b"\nlast\n")
    assert tail_file(tmp_path, path="log", lines=1) == "last\n"
    (tmp_path / "log").write_bytes(b"x" * 700_000 + b"\n" + b"y" * 700_000 + b"\nlast")
    shown = tail_file(tmp_path, path="log", lines=9)
    assert shown.startswith("yyy")
    assert shown.endswith("698000 more characters in this line]\nlast")


def test_bytes_are_read_up_to_a_limit(tmp_path: Path) -> None:
    """Whoever asks for one more than he takes learns whether that was all."""
    (tmp_path / "image").write_bytes(b"\x89PNG\0\0")
    assert read_bytes(tmp_path, path="image", limit=100) == b"\x89PNG\0\0"
    assert read_bytes(tmp_path, path="image", limit=4) == b"\x89PNG"


def test_a_file_is_written_with_a_mode_or_keeps_its_own(tmp_path: Path) -> None:
    """Whatever it was before."""
    for mode in (0o755, 0o444, None):
        write_file(tmp_path, path="a", data=b"x", key="k", mode=mode)
        assert (tmp_path / "a").stat().st_mode & 0o777 == (mode or 0o444)


@pytest.mark.parametrize(("path", "word"), [("..", "'..'"), ("none", "exist"), ("sub", "folder")])
def test_what_is_no_file_is_refused(tmp_path: Path, path: str, word: str) -> None:
    """In the sentences of every file tool."""
    (tmp_path / "sub").mkdir()
    with pytest.raises(Refused, match=word):
        tail_file(tmp_path, path=path, lines=1)
    with pytest.raises(Refused, match=word):
        read_bytes(tmp_path, path=path, limit=1)
