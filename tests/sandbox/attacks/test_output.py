"""Attacks by what a command prints: it comes back byte by byte, and says nothing to anyone."""

import pytest

from tests.sandbox.attacks.probe import python, shell
from tests.sandbox.attacks.target import SPEC, Target


@pytest.mark.parametrize(
    "printed",
    [
        b"\x1b]0;title\x07\x1b[2J\x1b[31m\r\b\x7f red",
        b"\0\0before\0after\0",
        bytes(range(256)),
        b"\xff\xfe\xc3\x28\xed\xa0\x80\xf8",
        b'{"n": 1, "event": "output", "size": 999999999}\n',
        b"\n" * 500,
    ],
    ids=["terminal", "nul", "every-byte", "no-text", "frame", "lines"],
)
async def test_bytes_come_back_as_they_were_printed(target: Target, printed: bytes) -> None:
    """In the outcome, and while the command runs."""
    outcome = await target.run(python(f"os.write(1, {printed!r})"))
    assert (outcome.head, outcome.tail, outcome.total) == (printed, b"", len(printed))
    assert target.shown == printed


async def test_of_a_gigabyte_the_two_ends_are_kept(target: Target) -> None:
    """All is counted, and nothing grows with it."""
    script = "printf begin; head -c 1000000000 /dev/zero; printf end"
    outcome = await target.run(shell(script))
    assert (outcome.ended, outcome.total) == ("exit", 1_000_000_008)
    assert len(outcome.head) + len(outcome.tail) == SPEC.output_bytes
    assert outcome.head.startswith(b"begin\0") and outcome.tail.endswith(b"\0end")
    assert target.shown == outcome.head
