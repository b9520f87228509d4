"""What is told of a command: its output as plain text, and how it ended."""

import signal
from typing import Any

import pytest

from perdure.errors import ToolError
from perdure.sandbox.sandbox import Outcome
from perdure.tools.commands.ending import LARGEST, plain, told


def _done(head: bytes = b"", tail: bytes = b"", **said: Any) -> Outcome:
    fields = {"code": 0, "total": len(head) + len(tail), "seconds": 2.34}
    return Outcome("done", head=head, tail=tail, **fields | said)


def test_output_and_exit_code_are_told() -> None:
    """The exit code stands last, on a line of its own."""
    assert told(_done(b"hi\n")) == "hi\n[exit code 0 after 2.3 s]"
    assert told(_done(b"hi", code=1)) == "hi\n[exit code 1 after 2.3 s]"


def test_no_output_leaves_the_ending_alone() -> None:
    """Without an empty line before it."""
    assert told(_done(seconds=75.4)) == "[exit code 0 after 75 s]"


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        (-signal.SIGKILL, "[killed by SIGKILL after 2.3 s]"),
        (-signal.SIGRTMIN - 1, "[killed by signal 35 after 2.3 s]"),
        (128 + signal.SIGSEGV, "[exit code 139 (SIGSEGV) after 2.3 s]"),
        (128 + signal.SIGCHLD, "[exit code 145 after 2.3 s]"),
        (None, "[ended after 2.3 s; its exit code is not known]"),
    ],
)
def test_a_signal_is_named(code: int | None, ending: str) -> None:
    """Also where a shell reports it; most codes over 128 are just codes."""
    assert told(_done(code=code)) == ending


@pytest.mark.parametrize(
    ("ended", "ending"),
    [
        ("time", "[timed out after 2.3 s; everything it had started was killed]"),
        ("memory", "[out of memory: "),
        ("disk", "[the disk is full: "),
        ("processes", "[too many processes: "),
        ("stopped", "[stopped after 2.3 s"),
    ],
)
def test_a_limit_is_an_error_with_the_output(ended: str, ending: str) -> None:
    """The model sees how far the command came, and what ended it."""
    with pytest.raises(ToolError) as caught:
        told(_done(b"so far\n", code=-9, ended=ended))
    assert str(caught.value).startswith(f"so far\n{ending}")
    assert str(caught.value).endswith("]")


def test_what_was_left_out_is_counted() -> None:
    """Between the beginning and the end."""
    text = told(_done(b"begin", b"end\n", total=5_000_009))
    assert text.startswith("begin\n[… 5,000,000 bytes left out …]\nend\n[exit")


def test_the_two_halves_of_a_whole_output_are_joined() -> None:
    """Also in the middle of a character."""
    euro = "€".encode()
    assert told(_done(b"1" + euro[:1], euro[1:] + b"\n")).startswith("1€\n[exit")


def test_a_character_that_was_cut_in_two_is_left_out() -> None:
    """Rather than shown as broken bytes."""
    euro = "€".encode()
    text = told(_done(b"a" + euro + euro[:2], euro[1:] + euro + b"z", total=1000))
    assert text.startswith("a€\n[… 992 bytes left out …]\n€z\n[exit")


@pytest.mark.parametrize("total", [1_000_000, 9_000_000])
def test_bytes_that_are_no_text_do_not_push_the_ending_out(total: int) -> None:
    """Each of them takes four characters, and results have a largest size."""
    text = told(_done(b"\xff" * 500_000, b"\xfe" * 500_000, total=total))
    assert len(text) < LARGEST + 100
    assert text.startswith("\\xff\\xff")
    assert f"[… {total - LARGEST // 4:,} bytes left out …]" in text
    assert text.endswith("\\xfe\n[exit code 0 after 2.3 s]")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x1b[1;31mred\x1b[0m \x1b[2K\x1b]8;;http://x\x1b\\link\x1b]8;;\x07 \x1b(B", "red link "),
        (b"a\r\nb\r\r\nc\rd\r", "a\nb\nc\nd\n"),
        (b"tab\tstays\n", "tab\tstays\n"),
        (b"\x00\x07\x08\x7f", "\\x00\\x07\\x08\\x7f"),
        (b"caf\xe9 \xff", "caf\\xe9 \\xff"),
        ("\x9b31m \u202egnp.exe\u2066 \ufeff \u200b".encode(), None),
        ("\U000e0041".encode(), "\\U000e0041"),
        ("🧑‍🚀 é 日本\n".encode(), "🧑‍🚀 é 日本\n"),
        (b"\x1b", "\\x1b"),
        (b"\x1b[", ""),
        (b"\x1b]never closed", "never closed"),
    ],
)
def test_what_a_terminal_would_hide_is_seen(data: bytes, text: str | None) -> None:
    """Colours are gone, line ends are plain, and the rest is written out."""
    expected = "\\x9b31m \\u202egnp.exe\\u2066 \\ufeff \\u200b" if text is None else text
    assert plain(data) == expected


@pytest.mark.parametrize("piece", [b"\x1b", b"\x1b]", b"\x1b[0", b"\x1b[;", b"\r", b"\x1b "])
@pytest.mark.timeout(10)
def test_no_output_takes_long_to_clean(piece: bytes) -> None:
    """However it is made."""
    plain(piece * 500_000)
    plain(piece + b"0" * 1_000_000)
