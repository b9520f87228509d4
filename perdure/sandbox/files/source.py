"""A user's own folder, read as the files with which a run begins."""

import asyncio
import errno
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from perdure.errors import WorkspaceError
from perdure.sandbox.inside.changes import MOST_BYTES, scan
from perdure.sandbox.inside.index import Delta, Index, identity
from perdure.sandbox.inside.pieces import pieces
from perdure.sandbox.sandbox import Changed


class Source:
    """Read, and never changed; our own data in it is left out."""

    def __init__(self, path: str, private: Collection[Path], disk_mb: int) -> None:
        """`private`: folders of ours. `disk_mb`: what the agent's sandbox may hold.

        Raises:
            WorkspaceError: there is no such folder, or it is one of ours.
        """
        self._path = path
        self._private = private
        self._folder = self._checked()
        self._disk_mb = disk_mb
        self._most = min(disk_mb * 2**20, MOST_BYTES)

    async def changes(self, base: str | None) -> Changed | None:
        """All of it: there is no state to compare it with but the empty one."""
        delta = await asyncio.to_thread(self._scan)
        if delta["notes"]:
            path, reason = delta["notes"][0]
            raise WorkspaceError(
                f"The workspace's source {self._path!r} cannot be copied: {path}: {reason}."
                f" {self._cure(reason)}"
            )
        return Changed(identity(base, delta["changes"]), delta["changes"], [])

    async def adopt(self, base: str, entries: dict[str, Any]) -> None:
        """Never asked for: the empty state is known."""

    async def pieces(self, wanted: list[tuple[str, int, int]]) -> bytes:
        return await asyncio.to_thread(pieces, self._folder, wanted)

    def _checked(self) -> Path:
        folder = Path(self._path)
        if not folder.is_absolute():
            raise WorkspaceError(
                f"Workspace {self._path!r} is not an absolute path; give all of it."
            )
        if not folder.is_dir():
            raise WorkspaceError(f"Workspace {self._path!r} is no existing folder on this machine.")
        if os.path.realpath(folder) in {os.path.realpath(place) for place in self._private}:
            raise WorkspaceError(
                f"Workspace {self._path!r} is the data directory itself;"
                " give the folder of a project."
            )
        return Path(os.path.realpath(folder))

    def _cure(self, reason: str) -> str:
        if reason == os.strerror(errno.EACCES):
            return "Let the worker's user read it, or give a folder without it."
        if not reason.endswith(f"more than {self._most:,} bytes"):
            return "Give a folder without it, or a smaller one."  # a limit that is for all
        if self._most == MOST_BYTES:
            return "No workspace may have more; give a smaller folder."
        return (
            f"That is the `disk_mb: {self._disk_mb}` of the agent's `sandbox:`;"
            " raise it, or give a smaller folder."
        )

    def _scan(self) -> Delta:
        private = {_identity(place) for place in self._private if place.exists()}
        try:
            return scan(self._folder, Index(), private=private, lift=False, most=self._most)
        except OSError as error:
            raise WorkspaceError(
                f"The workspace's source {self._path!r} cannot be copied: {error}. "
                "Check that its files can be read."
            ) from error


def _identity(place: Path) -> tuple[int, int]:
    status = place.stat()
    return status.st_dev, status.st_ino
