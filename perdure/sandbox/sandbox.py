"""A sandbox: where one run's commands are carried out, and where its files are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from perdure.errors import PerdureError, ToolError


class SandboxLost(Exception):
    """The sandbox, or the way to it, broke while it was in use; worth another attempt."""


class SandboxError(PerdureError):
    """A sandbox cannot be had as it is asked for."""


class Moved(SandboxError):
    """The files are at another place by now; what is left of them here is out of date."""


class NoSandbox(ToolError):
    """A command was to run where nothing would isolate it."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run in the sandbox, and what bounds it."""

    argv: tuple[str, ...]
    stdin: bytes = b""
    seconds: float | None = None
    """None for the sandbox's own limit, which is also the most that can be asked for."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the sandbox's own variables."""
    folder: str = "."
    """Relative to the workspace."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended; of long output the beginning and the end."""

    state: Literal["done", "lost", "never"]
    """`lost`: it began, and nothing says how it ended; `never`: it did not begin."""
    code: int | None = None
    """Exit code; negative for a signal."""
    ended: Literal["exit", "time", "memory", "processes", "disk", "stopped"] = "exit"
    """What ended it: itself, a limit, or someone who asked."""
    head: bytes = b""
    tail: bytes = b""
    total: int = 0
    """Bytes that it printed, on standard output and standard error together."""
    seconds: float = 0.0


class Changed(NamedTuple):
    """How the files differ from a state that is known."""

    state: str
    """Identity of the present state; of an unchanged one that of the known state."""
    changes: dict[str, Any]
    omitted: list[list[str]]
    """Paths that could not be taken in, and why; the first few."""


class Sandbox(Protocol):
    """What tools and checkpoints ask of a sandbox, wherever it is."""

    @property
    def kind(self) -> str:
        """`docker`, `bwrap`, `none` or `folder`."""

    @property
    def incarnation(self) -> str:
        """Names this uninterrupted life of the sandbox; the next may not know all that ran."""

    @property
    def is_ready(self) -> bool:
        """Whether its files are all there: `make_ready` has been called in some life of it."""

    async def make_ready(self) -> None:
        """Mark that the files with which it begins are there."""

    async def run(self, step: str, command: Command, show: Callable[[bytes], None]) -> Outcome:
        """Carry out `command`, once for each `step`: a second call joins it or finds its outcome.

        `show` is given the output while it is being printed. When this call is cancelled, the
        command goes on, for another to join; `stop` ends it.

        Raises:
            NoSandbox: nothing here would isolate a command.
            SandboxLost: the way to the sandbox broke; the command may go on.
        """

    async def recall(self, step: str, command: Command, show: Callable[[bytes], None]) -> Outcome:
        """As `run`, but a command that has not begun is not begun."""

    async def stop(self, step: str) -> None:
        """End the step's command: its whole process tree is dead when this returns.

        Raises:
            SandboxLost: see `run`.
        """

    async def operate(
        self, operation: str, arguments: dict[str, Any], data: bytes = b""
    ) -> tuple[Any, bytes]:
        """Carry out an operation on the files (`inside.operations`) as the agent's own user.

        Raises:
            ToolError: what the model should know of.
            SandboxLost: see `run`.
        """

    async def changes(self, base: str | None) -> Changed | None:
        """What differs from the state `base`; None when that is not known here: `adopt` it."""

    async def adopt(self, base: str, entries: dict[str, Any]) -> None:
        """Make the state `base`, of these entries, known as one to compare with."""

    async def pieces(self, wanted: list[tuple[str, int, int]]) -> bytes:
        """The bytes at these (path, offset, length), one after the other."""

    async def close(self) -> None:
        """Let go of the connection; the sandbox itself goes on."""
