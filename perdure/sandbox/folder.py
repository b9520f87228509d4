"""A folder of this machine as a sandbox for files: nothing would isolate a command here."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Any, NoReturn

from perdure.errors import ToolError
from perdure.sandbox.inside import operations
from perdure.sandbox.inside.changes import scan
from perdure.sandbox.inside.index import Indexes
from perdure.sandbox.inside.pieces import pieces
from perdure.sandbox.sandbox import Changed, Command, NoSandbox, Outcome, SandboxError

_SEARCH_SECONDS = 20.0
_SEARCH = """
import json, pathlib, sys
sys.path.insert(0, sys.argv[1])
from inside.refusal import Refused
from inside.search import search_files
try:
    answer = {"value": search_files(pathlib.Path(sys.argv[2]), **json.load(sys.stdin))}
except Refused as refusal:
    answer = {"refused": str(refusal)}
print(json.dumps(answer))
"""

INCARNATION = token_hex(8)


class Folder:
    """A folder `place` with the `workspace`, on which threads of this process work."""

    kind = "folder"
    incarnation = INCARNATION

    def __init__(self, place: Path) -> None:
        self._root = place / "workspace"
        self._ready = place / "ready"
        self._indexes = Indexes()

    @property
    def is_ready(self) -> bool:
        return self._ready.exists()

    async def make_ready(self) -> None:
        self._ready.touch()

    async def run(self, step: str, command: Command, show: Callable[[bytes], None]) -> Outcome:
        _refuse()

    async def recall(self, step: str, command: Command, show: Callable[[bytes], None]) -> Outcome:
        _refuse()

    async def stop(self, step: str) -> None:
        """No command runs here."""

    async def operate(
        self, operation: str, arguments: dict[str, Any], data: bytes = b""
    ) -> tuple[Any, bytes]:
        try:
            if operation == "search_files":
                return await asyncio.to_thread(self._search, arguments), b""
            work = operations.OPERATIONS[operation]
            return await asyncio.to_thread(work, self._root, arguments, data)
        except operations.Refused as refusal:
            raise ToolError(str(refusal)) from None
        except OSError as error:
            raise self._broken(error) from error

    async def changes(self, base: str | None) -> Changed | None:
        index = self._indexes.find(base)
        if index is None:
            return None
        try:
            delta = await asyncio.to_thread(scan, self._root, index)
        except OSError as error:
            raise self._broken(error) from error
        return Changed(self._indexes.advance(index, delta), delta["changes"], delta["notes"])

    async def adopt(self, base: str, entries: dict[str, Any]) -> None:
        self._indexes.adopt(base, entries)

    async def pieces(self, wanted: list[tuple[str, int, int]]) -> bytes:
        return await asyncio.to_thread(pieces, self._root, wanted)

    async def close(self) -> None:
        """Nothing is held open."""

    def _search(self, arguments: dict[str, Any]) -> str:
        # In a process of its own: a regular expression can hold all threads of this one for years.
        package = str(Path(operations.__file__).parents[1])
        program = [sys.executable, "-ISE", "-c", _SEARCH, package, str(self._root)]
        request = json.dumps(arguments).encode()
        try:
            searched = subprocess.run(
                program, input=request, stdout=subprocess.PIPE, timeout=_SEARCH_SECONDS, check=True
            )
        except subprocess.TimeoutExpired:
            raise ToolError(
                f"The search took longer than {_SEARCH_SECONDS:g} seconds; "
                "give a simpler pattern or a narrower path."
            ) from None
        answer = json.loads(searched.stdout)
        if "refused" in answer:
            raise operations.Refused(answer["refused"])
        return str(answer["value"])

    def _broken(self, error: OSError) -> SandboxError:
        return SandboxError(
            f"The workspace {str(self._root)!r} cannot be used: {error}. "
            "Look at its permissions and at the free space of its disk."
        )


def _refuse() -> NoReturn:
    raise NoSandbox(
        "Commands cannot run: no sandbox is here. Install Docker (apt install docker.io) or "
        "bubblewrap (apt install bubblewrap), or accept commands on this machine itself with "
        "--sandbox none."
    )
