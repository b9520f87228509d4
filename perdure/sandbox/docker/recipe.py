"""What a sandbox's container is made of: its limits, its volumes, and the shim that it is given."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from docker.types import LogConfig, Mount, Ulimit

from perdure.contracts import SandboxSpec
from perdure.sandbox.docker.engine import Traits

FILES, STATE = "/workspace", "/perdure"
AGENT = 1000
"""User and group of commands and of the workspace's files."""

CONFIG = f"{STATE}/config.json"
"""The last of what is put there: where it is, the rest is."""

_START = f"import sys; sys.path.insert(0, '{STATE}/lib'); from inside.program import main; main()"
_PROGRAM = ("python3", "-ISE", "-c", _START)
SERVE = (*_PROGRAM, "serve", CONFIG)
RELAY = (*_PROGRAM, "relay", f"{STATE}/shim.sock")

_HOME = "/agent"
"""No folder that images have: what is mounted over one gets its mode, and is not the agent's."""
# What the shim, a supervisor for each command and the relays need is not the agent's.
_OWN_MB, _OWN_PROCESSES = 48, 32
_LEASE_SECONDS = 24 * 60 * 60


def container_name(name: str) -> str:
    return f"perdure-{name}"


def volume_names(name: str) -> tuple[str, str]:
    """The volumes of the workspace and of the shim's state."""
    return f"perdure-{name}-files", f"perdure-{name}-state"


def creation(
    name: str, spec: SandboxSpec, image: str, labels: dict[str, str], engine: Traits
) -> dict[str, Any]:
    """The arguments of the SDK's `containers.create`."""
    memory = f"{spec.memory_mb + _OWN_MB}m"
    files, state = volume_names(name)
    return {
        "name": container_name(name),
        "image": image,
        "entrypoint": list(SERVE),
        "labels": labels,
        "hostname": "sandbox",
        "user": "0:0",
        "init": True,
        "mounts": [_volume(files, FILES), _volume(state, STATE)],
        "read_only": True,
        "tmpfs": _tmpfs(spec.memory_mb, engine),
        "shm_size": f"{_share(spec.memory_mb)}m",
        "cap_drop": ["ALL"],
        "cap_add": ["SETUID", "SETGID", "KILL", "CHOWN"],
        "security_opt": ["no-new-privileges"],
        "network_mode": "bridge" if spec.network else "none",
        "ipc_mode": "private",
        "mem_limit": memory,
        "memswap_limit": memory,
        "pids_limit": spec.processes + _OWN_PROCESSES,
        "nano_cpus": int(min(spec.cpus, engine.processors) * 1e9),
        "ulimits": [
            Ulimit(name="nofile", soft=4096, hard=4096),
            Ulimit(name="core", soft=0, hard=0),
        ],
        "log_config": LogConfig(type="none"),
        "healthcheck": {"test": ["NONE"]},
    }


def state_archive(spec: SandboxSpec, image_environment: list[str]) -> bytes:
    """The shim's program and its configuration, for root alone."""
    sources = sorted((Path(__file__).parents[1] / "inside").glob("*.py"))
    entries: dict[str, bytes | None] = {".": None, "lib": None, "lib/inside": None}
    entries |= {f"lib/inside/{source.name}": source.read_bytes() for source in sources}
    entries["config.json"] = json.dumps(_config(spec, image_environment)).encode()
    return _archive(entries)


def _config(spec: SandboxSpec, image_environment: list[str]) -> dict[str, Any]:
    limits = ("memory_mb", "cpus", "processes", "disk_mb", "seconds", "output_bytes")
    return {
        "root": FILES,
        "state": STATE,
        "enclosure": "container",
        "uid": AGENT,
        "limits": spec.model_dump(include=set(limits)),
        "network": spec.network,
        "environment": _environment(image_environment),
        "lease_seconds": _LEASE_SECONDS,
    }


def _environment(image_environment: list[str]) -> dict[str, str]:
    """The image's variables and the agent's own; nothing of the worker's."""
    variables = dict(variable.partition("=")[::2] for variable in image_environment)
    return variables | {
        "HOME": _HOME,
        "USER": "agent",
        "LOGNAME": "agent",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _volume(name: str, target: str) -> Mount:
    return Mount(target=target, source=name, type="volume", no_copy=True)


def _tmpfs(memory_mb: int, engine: Traits) -> dict[str, str]:
    # Without `exec` Docker mounts them noexec. Podman cannot be told a number of inodes: there
    # only the container's memory bounds them.
    inodes = "" if engine.is_podman else f",nr_inodes={min(50_000, 50 * memory_mb)}"
    own = f"rw,exec,nosuid,nodev,mode=1777,size={_share(memory_mb)}m{inodes}"
    run = "rw,noexec,nosuid,nodev,mode=0755,size=1m"
    return {"/tmp": own, _HOME: own, "/run": run}  # noqa: S108 - the container's own


def _share(memory_mb: int) -> int:
    """Megabytes for each of /tmp, the home and /dev/shm: half of the memory for all three.

    What lies there counts as memory, and no limit can kill a file to make room for programs.
    """
    return max(memory_mb // 6, 4)


def _archive(entries: dict[str, bytes | None]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            entry.mode = 0o700
            entry.size = len(content or b"")
            archive.addfile(entry, io.BytesIO(content or b""))
    return packed.getvalue()
