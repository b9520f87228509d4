"""A kind of sandbox that a machine can have: Docker, bubblewrap, the bare machine, a folder."""

from typing import Protocol

from perdure.contracts import SandboxSpec
from perdure.sandbox.found import Found
from perdure.sandbox.sandbox import Sandbox


class Backend(Protocol):
    """Makes and finds the sandboxes of one kind on this machine."""

    async def problem(self, image: str | None = None) -> str | None:
        """Why this kind cannot be had here, and the cure; None when it can.

        `image` is the one that an agent names, where there are images.
        """

    async def open(self, name: str, spec: SandboxSpec, details: dict[str, str]) -> Sandbox:
        """The sandbox of that name, made or found again.

        `details`: `workflow_id`, `run`, and the `deadline` from which it may be an orphan.

        Raises:
            SandboxError: it cannot be made, and trying again will not help.
            SandboxLost: it cannot be reached now.
        """

    async def remove(self, name: str) -> None:
        """End everything that runs in it, and delete it; none of that name is no error."""

    async def found(self) -> list[Found]:
        """Those of this data directory that are here."""

    async def close(self) -> None:
        """Let go of what it holds open; the sandboxes stay."""
