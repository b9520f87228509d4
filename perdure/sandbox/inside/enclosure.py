"""How a child process is enclosed, so that it is the agent's and no longer ours."""

import ctypes
import math
import os
import random
import resource
import signal
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from . import bubblewrap, seccomp

INSIDE = bubblewrap.INSIDE
"""Where bubblewrap shows the folder that holds this package, read-only."""

_OPEN_FILES = 4096
_STANDARD_ERROR = 2
_PARENT_DEATH_SIGNAL = 1  # prctl


def drop(config: dict[str, Any]) -> None:
    """Become the agent's user and take on its limits; for a forked child, never to be undone."""
    if config["enclosure"] == "container":
        os.setgroups([])
        os.setresgid(config["uid"], config["uid"], config["uid"])
        os.setresuid(config["uid"], config["uid"], config["uid"])
    else:
        _use_processors(config["limits"]["cpus"])
    # After the change of user, which would clear it.
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _limit(resource.RLIMIT_FSIZE, config["limits"]["disk_mb"] << 20)
    os.umask(0o022)
    _open_workspace(Path(config["root"]))
    if config["enclosure"] == "container":
        seccomp.install()


def prefix(
    config: dict[str, Any], environment: Mapping[str, str] | None = None, folder: str = "."
) -> list[str]:
    """What stands before a command's argv: nothing, or bubblewrap's own up to `--`.

    For a child that executes it next, in an empty environment: bubblewrap gives the command its
    variables. Opens file descriptors, which bubblewrap reads and closes.
    """
    if config["enclosure"] != "bwrap":
        return []
    return bubblewrap.arguments(config, environment or config["environment"], folder)


def execute(
    config: dict[str, Any], argv: list[str], environment: Mapping[str, str], folder: str = "."
) -> NoReturn:
    """Turn this forked child into the enclosed program `argv`, which inherits nothing else.

    Standard input, output and error stay; all other file descriptors are closed. What keeps it
    from starting is said on standard error; the exit code is then 126, or 127 for the program.
    """
    _close_files()
    _restore_signals()
    try:
        drop(config)
        if config["enclosure"] == "bwrap":
            enclosed = [*prefix(config, environment, folder), *argv]
            os.execve(enclosed[0], enclosed, {})
        _enter(Path(config["root"]), folder)
    except (OSError, ValueError) as error:
        _give_up(126, f"The command cannot be started: {error}")
    try:
        os.execvpe(argv[0], argv, dict(environment))
    except (OSError, ValueError) as error:
        _give_up(127, f"{argv[0]!r} cannot be started: {error}")


def python() -> str:
    """The Python to start inside bubblewrap: this one, which is shown there at its own place."""
    return f"{sys.base_prefix}/bin/python{sys.version_info.major}.{sys.version_info.minor}"


def _open_workspace(root: Path) -> None:
    """Undo a `chmod` by which an agent has locked itself out."""
    mode = root.stat().st_mode
    if mode & stat.S_IRWXU != stat.S_IRWXU:
        root.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)


def _use_processors(count: float) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    # Chosen at random, so that sandboxes do not all share the first ones.
    os.sched_setaffinity(0, random.sample(allowed, min(math.ceil(count), len(allowed))))


def _limit(kind: int, most: int) -> None:
    _, allowed = resource.getrlimit(kind)
    if allowed != resource.RLIM_INFINITY:
        most = min(most, allowed)
    resource.setrlimit(kind, (most, most))


def _close_files() -> None:
    # Listed, for the highest number may be a billion.
    for place in Path("/proc/self/fd").iterdir():
        if int(place.name) > _STANDARD_ERROR:
            with suppress(OSError):  # that of the list itself
                os.close(int(place.name))


def _restore_signals() -> None:
    """What Python ignores a program would ignore too: a broken pipe, a file that is too long."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _enter(root: Path, folder: str) -> None:
    os.chdir(root / folder)
    if not Path.cwd().is_relative_to(root.resolve()):
        raise ValueError(f"the folder {folder!r} is outside the workspace.")


def _give_up(code: int, sentence: str) -> NoReturn:
    os.write(_STANDARD_ERROR, f"{sentence}\n".encode(errors="replace"))
    os._exit(code)
