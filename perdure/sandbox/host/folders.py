"""The places of runs that carry out no commands: folders of this machine."""

import json
import os
from pathlib import Path

from perdure.contracts import SandboxSpec
from perdure.sandbox.folder import Folder
from perdure.sandbox.found import Found
from perdure.sandbox.host.deletion import delete

DETAILS = "folder.json"


class Folders:
    """The folders under one root, each with a workspace and what is known of it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def problem(self, image: str | None = None) -> str | None:
        return None

    async def open(self, name: str, spec: SandboxSpec, details: dict[str, str]) -> Folder:
        place = self._root / name
        (place / "workspace").mkdir(parents=True, exist_ok=True)
        if not (place / DETAILS).exists():
            draft = place / f".{DETAILS}-{os.getpid()}"
            draft.write_text(json.dumps(details))
            draft.replace(place / DETAILS)
        return Folder(place)

    async def remove(self, name: str) -> None:
        if (place := self._root / name).is_dir():
            await delete(place)

    async def found(self) -> list[Found]:
        return [_found(file) for file in self._root.glob(f"*/{DETAILS}")]

    async def close(self) -> None:
        """Folders hold nothing open."""


def _found(file: Path) -> Found:
    details = json.loads(file.read_text())
    return Found(
        name=file.parent.name,
        kind="folder",
        run=details["run"],
        workflow_id=details["workflow_id"],
        cluster=details["cluster"],
        deadline=float(details["deadline"]),
    )
