"""The workspace: the one folder of a run in which its tools may read and write."""

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from secrets import token_hex

from perdure.errors import ToolError, WorkspaceError

_DRAFTS = ".drafts"
_LONGEST_NAME = 255
"""Bytes in one name, on every common file system."""
_LONGEST_PATH = 3000
"""Bytes in a path; the system's 4096 hold the workspace's own path as well."""
_LOCK_POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Workspace:
    """A run's folder; no path that a tool is given leads out of it."""

    root: Path

    def resolve(self, path: str) -> Path:
        """The real place of `path`, relative to the workspace, whether it exists or not.

        Raises:
            ToolError: the path is none, or leads out of the workspace.
        """
        _check(path)
        root = os.path.realpath(self.root)
        # The last component too: a dangling link to a place outside would be created there.
        place = Path(os.path.realpath(Path(root, path)))
        if not place.is_relative_to(root):
            raise ToolError(f"Path {path!r} leads out of the workspace, through a symbolic link.")
        return place

    def name(self, place: Path) -> str:
        """The path that tools know a resolved `place` by."""
        return str(place.relative_to(os.path.realpath(self.root)))

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """One writer at a time, in every process: the calls of one reply run in parallel."""
        folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # Never a blocking wait: it would hold the thread that the lock's owner needs.
            while not _try_lock(folder):
                await asyncio.sleep(_LOCK_POLL_SECONDS)
            yield
        finally:
            os.close(folder)  # lets go of the lock; so does the kernel when the process is killed


class Workspaces:
    """The workspaces of this machine's runs, as folders of `root` named by the run's id."""

    def __init__(self, root: Path, *, home: Path | None = None) -> None:
        """`home` is the data directory, which is never copied; by default the one with `root`."""
        self._root = root
        self._private = {os.path.realpath(place) for place in (root, home or root.parent)}

    def at(self, run: str) -> Workspace:
        if not run or len(run) > _LONGEST_NAME or run.startswith(".") or set(run) & set("/\\\0"):
            raise WorkspaceError(f"Run id {run!r} cannot name a folder.")
        return Workspace(self._root / run)

    def prepare(self, run: str, source: str | None) -> Workspace:
        """Make the run's workspace, with a copy of the files in `source`; once made, it stays.

        Blocking. It may be killed at any moment and called again.

        Raises:
            WorkspaceError: the folder cannot be made, or `source` cannot be copied.
        """
        workspace = self.at(run)
        if workspace.root.is_dir():
            return workspace
        drafts = self._root / _DRAFTS / run
        draft = drafts / token_hex(8)
        try:
            shutil.rmtree(drafts, ignore_errors=True)  # left by an attempt that was killed
            drafts.mkdir(parents=True, exist_ok=True)
            self._fill(draft, source)
            _publish(draft, workspace.root)
        except OSError as error:
            raise WorkspaceError(
                f"The workspace {str(workspace.root)!r} cannot be made: {error}. "
                "Check the data directory's permissions and free space."
            ) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            with suppress(OSError):  # another attempt may have its draft there by now
                drafts.rmdir()
        return workspace

    def _fill(self, draft: Path, source: str | None) -> None:
        if source is None:
            draft.mkdir()
            return
        try:
            folder = self._source(source)
            shutil.copytree(folder, draft, symlinks=True, ignore=self._left_out)
        except OSError as error:
            raise WorkspaceError(
                f"The workspace's source {source!r} cannot be copied: {_first(error)}. "
                "Check that its files can be read and that there is space for them."
            ) from error
        draft.chmod(draft.stat().st_mode | 0o700)  # the agent works here, whatever the source is

    def _source(self, source: str) -> Path:
        folder = Path(source)
        if not folder.is_absolute():
            raise WorkspaceError(f"Workspace {source!r} is not an absolute path; give all of it.")
        if not folder.is_dir():
            raise WorkspaceError(f"Workspace {source!r} is no existing folder on this machine.")
        if os.path.realpath(folder) in self._private:
            raise WorkspaceError(
                f"Workspace {source!r} is the data directory itself; give the folder of a project."
            )
        return folder

    def _left_out(self, folder: str, names: list[str]) -> set[str]:
        return {name for name in names if self._is_left_out(Path(folder, name))}

    def _is_left_out(self, place: Path) -> bool:
        """Not copied: our own data, and whatever is neither file, folder nor link."""
        if place.is_symlink() or place.is_file():
            return False
        return not place.is_dir() or os.path.realpath(place) in self._private


def _check(path: str) -> None:
    parts = PurePosixPath(path).parts
    if "\0" in path or not _is_encodable(path):
        raise ToolError(f"Path {path!r} contains a character that no file name can hold.")
    if path.startswith("/"):
        raise ToolError(f"Path {path!r} is absolute; give it relative to the workspace.")
    if ".." in parts:
        raise ToolError(f"Path {path!r} contains '..'; give it relative to the workspace.")
    sizes = [len(os.fsencode(part)) for part in parts]
    if max(sizes, default=0) > _LONGEST_NAME or sum(sizes) + len(sizes) > _LONGEST_PATH:
        raise ToolError(f"Path {path[:60] + '…'!r} is too long for a file name; use a shorter one.")


def _is_encodable(path: str) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def _try_lock(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _publish(draft: Path, place: Path) -> None:
    """Give the finished workspace its name in one step."""
    try:
        draft.rename(place)
    except OSError:
        if not place.is_dir():  # else another attempt was first, and its workspace is as good
            raise


def _first(error: OSError) -> str:
    """The first thing that went wrong: `copytree` goes on and reports all in one error."""
    if isinstance(error, shutil.Error):
        place, _, reason = error.args[0][0]
        return f"{place}: {reason}"
    return str(error)
