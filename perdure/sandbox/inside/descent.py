"""Opening what is below a folder, without following a symbolic link on any level."""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""A named pipe that has taken a file's place must not hold us up."""


def split(path: str) -> tuple[str, str]:
    """The folder of `path` and its last name; ValueError for a path that leads elsewhere."""
    if any(part in {"", ".", ".."} for part in path.split("/")):
        raise ValueError(f"{path!r} is no path below the workspace.")
    folder, _, name = path.rpartition("/")
    return folder, name


class Descent:
    """Gives descriptors of folders below `root`; the last is kept, since paths come in order."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder: str | None = None
        self._open = ExitStack()
        self._descriptor = -1

    def to(self, folder: str) -> int:
        """A descriptor to name things in `folder` by, until the next call."""
        if folder != self._folder:
            self.close()
            self._step(os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            for name in filter(None, folder.split("/")):
                self._step(os.open(name, _FOLDER, dir_fd=self._descriptor))
            self._folder = folder
        return self._descriptor

    def _step(self, deeper: int) -> None:
        self._open.callback(os.close, deeper)
        self._descriptor = deeper
        if not os.access(".", os.X_OK, dir_fd=deeper):
            self._open.enter_context(lifted(deeper, stat.S_IXUSR))

    def close(self) -> None:
        self._folder = None
        self._open.close()


@contextmanager
def opened(
    name: str, folder: int | None, flags: int, *, lift: int = 0
) -> Iterator[tuple[int, bool]]:
    """A descriptor of `name` in `folder`, and whether its mode had to be lifted for it.

    `lift`: what its owner may be given for as long as this lasts, when the mode forbids opening.
    """
    with ExitStack() as stack:
        is_lifted = False
        try:
            descriptor = os.open(name, flags | _SAFELY, dir_fd=folder)
        except PermissionError:
            if not lift:
                raise
            place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            stack.callback(os.close, place)
            stack.enter_context(lifted(place, lift))
            descriptor = os.open(name, flags | _SAFELY, dir_fd=folder)
            is_lifted = True
        stack.callback(os.close, descriptor)
        yield descriptor, is_lifted


@contextmanager
def lifted(place: int, bits: int) -> Iterator[None]:
    """Give the owner these bits on the file or folder, and take them back."""
    mode = stat.S_IMODE(os.fstat(place).st_mode)
    set_mode(place, mode | bits)
    try:
        yield
    finally:
        set_mode(place, mode)


def set_mode(place: int, mode: int) -> None:
    """As `fchmod`, which takes no descriptor of what may not be opened."""
    Path(f"/proc/self/fd/{place}").chmod(mode)
