"""What a model is told of a command: what it printed, as plain text, and how it ended."""

import re
import signal

from perdure.errors import ToolError
from perdure.plain_text import UNSEEN
from perdure.sandbox.sandbox import Outcome

LARGEST = 900_000
"""Characters of output in one result: a byte that is no text takes four."""

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles, links and other strings
    r"|[ -/]*[0-~])"
)
_LINE_ENDS = re.compile(r"\r+\n?")
_PRECISE = 10
"""Seconds below which tenths are told."""
_FATAL = frozenset(
    {
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGKILL,
        signal.SIGSEGV,
        signal.SIGXFSZ,
    }
)
_ENDINGS = {
    "time": "timed out after {}; everything it had started was killed",
    "memory": "out of memory: killed after {}, when it used more than the sandbox has; "
    "use less, or work in smaller pieces",
    "disk": "the disk is full: killed after {}, when it had written more than the sandbox may "
    "hold; delete what is not needed",
    "processes": "too many processes: killed after {}, when it had started more than the sandbox "
    "may have; start fewer at a time",
    "stopped": "stopped after {}, as someone asked; everything it had started was killed",
}


def told(outcome: Outcome) -> str:
    """The result of a command that ended by itself, whatever its exit code.

    Raises:
        ToolError: with the same text, when a limit ended it or it was stopped.
    """
    text = _output(outcome)
    gap = "" if not text or text.endswith("\n") else "\n"
    result = f"{text}{gap}[{_ending(outcome)}]"
    if outcome.ended != "exit":
        raise ToolError(result)
    return result


def plain(data: bytes) -> str:
    """Bytes as text without colours, in which everything that a terminal would hide is seen."""
    text = _ESCAPES.sub("", data.decode(errors="backslashreplace"))
    return UNSEEN.sub(_written_out, _LINE_ENDS.sub("\n", text))


def _written_out(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _output(outcome: Outcome) -> str:
    text = _joined(outcome.head, outcome.tail, outcome.total)
    if len(text) <= LARGEST:
        return text
    kept, half = outcome.head + outcome.tail, LARGEST // 8
    return _joined(kept[:half], kept[-half:], outcome.total)


def _joined(head: bytes, tail: bytes, total: int) -> str:
    """The output, with a note of what is missing between its beginning and its end."""
    if total <= len(head) + len(tail):
        return plain(head + tail)
    head, tail = _without_begun_character(head), _without_rest_of_character(tail)
    left_out = total - len(head) - len(tail)
    return f"{plain(head)}\n[… {left_out:,} bytes left out …]\n{plain(tail)}"


def _without_begun_character(data: bytes) -> bytes:
    r"""`data` without the first bytes of a UTF-8 character that was cut, as in `…\xe2\x82`."""
    return re.sub(
        rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z", b"", data
    )


def _without_rest_of_character(data: bytes) -> bytes:
    return re.sub(rb"\A[\x80-\xbf]{1,3}", b"", data)


def _ending(outcome: Outcome) -> str:
    lasted = f"{outcome.seconds:.{1 if outcome.seconds < _PRECISE else 0}f} s"
    if outcome.ended != "exit":
        return _ENDINGS[outcome.ended].format(lasted)
    if outcome.code is None:
        return f"ended after {lasted}; its exit code is not known"
    if outcome.code < 0:
        return f"killed by {_signal(-outcome.code)} after {lasted}"
    # So a shell reports a signal that killed what it ran.
    killer = f" ({_signal(outcome.code - 128)})" if outcome.code - 128 in _FATAL else ""
    return f"exit code {outcome.code}{killer} after {lasted}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
