"""Bubblewrap's argv: what a command on the host can see, and what it cannot do.

The root of the sandbox is an empty, read-only file system; only what is named here is in it.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from . import seccomp

INSIDE = "/perdure-inside"
"""Where the folder that holds this package is shown, read-only."""

_WORKSPACE = "/workspace"
_PATH = "/usr/local/bin:/usr/bin:/bin"

_SYSTEM = ("/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin")

# Not all of /etc/ssl: its private keys are readable to a worker that is root.
_SETTINGS = (
    "/etc/alternatives",
    "/etc/crypto-policies",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/certs",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
)
_NETWORK_SETTINGS = ("/etc/hosts", "/etc/resolv.conf")

_FILES = {
    "/etc/passwd": b"root:x:0:0:root:/root:/usr/sbin/nologin\n"
    b"agent:x:1000:1000:agent:/workspace:/bin/sh\n",
    "/etc/group": b"root:x:0:\nagent:x:1000:\n",
    "/etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\n",
}
_HOSTS = b"127.0.0.1 localhost sandbox\n::1 localhost\n"


def arguments(config: dict[str, Any], environment: Mapping[str, str], folder: str) -> list[str]:
    """All up to `--`. Opens descriptors that bubblewrap, executed by this very process, closes."""
    return [
        shutil.which("bwrap") or "/usr/bin/bwrap",
        *_namespaces(config["network"]),
        *_system(),
        *_own_files(config["network"]),
        *_writable(config),
        *_environment(environment),
        *("--seccomp", str(_readable(seccomp.program(counted=False)))),
        *("--chdir", _place(folder)),
        "--",
    ]


def _namespaces(network: bool) -> Iterator[str]:
    yield from ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts")
    yield "--unshare-cgroup-try"
    if not network:
        yield "--unshare-net"
    yield from ("--uid", "1000", "--gid", "1000", "--hostname", "sandbox")
    yield from ("--die-with-parent", "--new-session", "--cap-drop", "ALL")


def _system() -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for place in map(Path, _SYSTEM):
        if place.is_symlink():
            yield from ("--symlink", str(place.readlink()), str(place))
        elif place.is_dir():
            yield from ("--ro-bind", str(place), str(place))
    for name in _SETTINGS:
        yield from ("--ro-bind-try", name, name)
    if not Path(sys.base_prefix).is_relative_to("/usr"):
        yield from ("--ro-bind", sys.base_prefix, sys.base_prefix)
    yield from ("--ro-bind", str(Path(__file__).parent.parent), INSIDE)


def _own_files(network: bool) -> Iterator[str]:
    files = _FILES if network else {**_FILES, "/etc/hosts": _HOSTS}
    for name, content in files.items():
        yield from ("--ro-bind-data", str(_readable(content)), name)
    for name in _NETWORK_SETTINGS if network else ():
        yield from ("--ro-bind-try", name, name)


def _writable(config: dict[str, Any]) -> Iterator[str]:
    # Their content is memory that no process holds: a quarter each of what the sandbox may have.
    size = str(max(config["limits"]["memory_mb"] // 4, 1) << 20)
    yield from ("--proc", "/proc", "--dev", "/dev")
    for place in ("/tmp", "/dev/shm"):  # noqa: S108 - these are the sandbox's own
        yield from ("--perms", "1777", "--size", size, "--tmpfs", place)
    yield from ("--dir", "/run", "--symlink", "/tmp", "/var/tmp")  # noqa: S108 - see above
    yield from ("--bind", config["root"], _WORKSPACE)
    # A worker that is root owns the kernel's settings in /proc; no capability is asked for there.
    yield from ("--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/")


def _environment(environment: Mapping[str, str]) -> Iterator[str]:
    yield "--clearenv"
    binaries = str(Path(sys.base_prefix, "bin"))
    path = environment.get("PATH", _PATH)
    if binaries not in path.split(":"):
        path = f"{path}:{binaries}"
    for name, value in {**environment, "PATH": path}.items():
        yield from ("--setenv", name, value)


def _place(folder: str) -> str:
    place = os.path.normpath(PurePosixPath(_WORKSPACE, folder))
    if not PurePosixPath(place).is_relative_to(_WORKSPACE):
        raise ValueError(f"the folder {folder!r} is outside the workspace.")
    return place


def _readable(content: bytes) -> int:
    """A descriptor, inherited by what is executed, from which `content` can be read."""
    descriptor = os.memfd_create("perdure", 0)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
