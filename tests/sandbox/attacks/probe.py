"""A probe: a hostile command, and what must come back of it."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from perdure.sandbox.sandbox import Command, Outcome

KINDS = ("docker", "bwrap")

TRIED = "tried"
"""What an attack that is to fail prints when it has gone through all that it tries."""
DONE = "DONE"
"""What it prints when something has worked."""


@dataclass(frozen=True)
class Probe:
    """Where answers differ by kind of sandbox, there is one for each kind."""

    name: str
    command: Command
    ended: tuple[str, ...] = ("exit",)
    """Any of these."""
    code: int | None = None
    shows: tuple[str, ...] = ()
    """All of these are in what comes back."""
    hides: tuple[str, ...] = (DONE,)
    seconds: float = 10.0
    """It must have come back after these."""
    kinds: tuple[str, ...] = KINDS

    def check(self, outcome: Outcome) -> None:
        """Raise AssertionError if something else came back."""
        said = (outcome.head + outcome.tail).decode(errors="replace")
        assert (outcome.state, outcome.ended in self.ended) == ("done", True), (outcome.ended, said)
        assert self.code in {None, outcome.code}, said
        for text in self.shows:
            assert text in said, (text, said)
        for text in self.hides:
            assert text not in said, [line for line in said.splitlines() if text in line]


def shell(
    script: str,
    *,
    stdin: bytes = b"",
    seconds: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> Command:
    argv = ("sh", "-c", textwrap.dedent(script))
    return Command(argv, stdin=stdin, seconds=seconds, environment=environment or {})


_ATTEMPT = """
import ctypes, errno, glob, os, signal, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)

def attempt(name, act):
    try:
        print(name, "DONE", act(), flush=True)
    except Exception as error:
        print(name, type(error).__name__, error, flush=True)

def call(*arguments):
    done = libc.syscall(*arguments)
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done

def others():
    ours = {os.getpid(), os.getppid(), int(os.environ.get("SPARED", "0"))}
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if pid not in ours]
"""


def python(source: str, *, stdin: bytes = b"", seconds: float | None = None) -> Command:
    """A program that has `attempt`, `call` and `others`."""
    program = f"{_ATTEMPT}\n{textwrap.dedent(source)}"
    return Command(("python3", "-c", program), stdin=stdin, seconds=seconds)
