"""Sandboxes on the host itself: a folder and a shim each, with or without bubblewrap."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from perdure.contracts import SandboxSpec
from perdure.sandbox.found import Found
from perdure.sandbox.host.deletion import delete
from perdure.sandbox.host.detached import PATH, connect, start
from perdure.sandbox.host.leftovers import MARK, kill_marked
from perdure.sandbox.inside.holder import Holder, end
from perdure.sandbox.sandbox import SandboxLost
from perdure.sandbox.shim import Shim

_START_SECONDS = 10.0
_END_SECONDS = 40.0
_LEASE_SECONDS = 86400
_LOOK_SECONDS = 0.05
_BWRAP_TRIAL = ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "true"]


class Host:
    """The sandboxes under one folder of this machine."""

    def __init__(self, root: Path, kind: Literal["bwrap", "none"]) -> None:
        self._root = root
        self.kind = kind

    async def problem(self, image: str | None = None) -> str | None:
        if self.kind == "none":
            return None
        return await asyncio.to_thread(_problem_of_bwrap)

    async def open(self, name: str, spec: SandboxSpec, details: dict[str, str]) -> Shim:
        place = self._root / name
        self._prepare(place, spec, details)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                return await connect(place / "state", self.kind)
            except (FileNotFoundError, ConnectionError, SandboxLost) as error:
                if time.monotonic() > deadline:
                    log = (place / "state" / "log").read_text(errors="replace")[-1000:]
                    raise SandboxLost(f"The shim of {place} cannot be reached: {log}") from error
            await start(place / "state")

    async def remove(self, name: str) -> None:
        place = self._root / name
        if not place.is_dir():
            return
        state = place / "state"
        await _end([Holder(state)])  # first, so that nothing new begins
        await _end(map(Holder, (state / "steps").glob("*")))
        await asyncio.to_thread(kill_marked, str(place))
        await delete(place)

    async def found(self) -> list[Found]:
        said = [(file, json.loads(file.read_text())) for file in self._root.glob("*/sandbox.json")]
        return [
            Found(
                name=file.parent.name,
                kind=self.kind,
                run=details["run"],
                workflow_id=details["workflow_id"],
                cluster=details["cluster"],
                deadline=float(details["deadline"]),
            )
            for file, details in said
            if details["kind"] == self.kind
        ]

    async def close(self) -> None:
        """A host holds nothing open."""

    def _prepare(self, place: Path, spec: SandboxSpec, details: dict[str, str]) -> None:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(place / "sandbox.json", {**details, "kind": self.kind})
        for part in ("workspace", "state", "tmp"):
            (place / part).mkdir(mode=0o700, exist_ok=True)
        _write(place / "state" / "config.json", self._config(place, spec))

    def _config(self, place: Path, spec: SandboxSpec) -> dict[str, Any]:
        limits = spec.model_dump(exclude={"kind", "image", "network"})
        return {
            "root": str(place / "workspace"),
            "state": str(place / "state"),
            "enclosure": self.kind,
            "uid": None,
            "limits": limits,
            "network": spec.network,
            "environment": self._environment(place),
            "lease_seconds": _LEASE_SECONDS,
        }

    def _environment(self, place: Path) -> dict[str, str]:
        if self.kind == "bwrap":
            return {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/tmp"}  # noqa: S108 - its own
        return {
            "PATH": os.environ.get("PATH", PATH),
            "LANG": "C.UTF-8",
            "HOME": str(place / "tmp"),
            "TMPDIR": str(place / "tmp"),
            MARK: str(place),
        }


def _write(file: Path, content: dict[str, Any]) -> None:
    draft = file.with_name(f".{file.name}-{os.getpid()}")
    draft.write_text(json.dumps(content))
    draft.replace(file)


def _problem_of_bwrap() -> str | None:
    try:
        trial = subprocess.run(_BWRAP_TRIAL, capture_output=True, check=False, timeout=10)
    except FileNotFoundError:
        return "bubblewrap is not installed; install it, for instance by `apt install bubblewrap`."
    except subprocess.TimeoutExpired:
        return "bubblewrap hangs on this machine (`apt install bubblewrap` gets a newer one)."
    if trial.returncode:
        said = trial.stderr.decode(errors="replace").strip()
        return (
            f"bubblewrap does not work here: {said}. Kernels that forbid user namespaces, and"
            " default containers, do not let it; elsewhere `apt install bubblewrap` mends it."
        )
    return None


async def _end(holders: Iterable[Holder]) -> None:
    ends = [end(holder, partial(asyncio.sleep, _LOOK_SECONDS)) for holder in holders]
    try:
        await asyncio.wait_for(asyncio.gather(*ends), _END_SECONDS)
    except TimeoutError:
        raise SandboxLost(f"Processes live on {_END_SECONDS:g} seconds after a kill.") from None
