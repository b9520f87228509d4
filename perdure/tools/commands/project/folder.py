"""A folder that may be a project, and what can be asked about it."""

from __future__ import annotations

import json
import os
import re
import shutil
import site
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, NamedTuple


class Folder(NamedTuple):
    """A folder, and the part of it that was asked for."""

    place: Path
    part: str = ""
    """Path relative to the folder, perhaps with `::` and a test's name; empty for all of it."""

    def has(self, *names: str) -> str | None:
        """The first of these that is there."""
        return next((name for name in names if (self.place / name).exists()), None)

    def holds(self, *patterns: str) -> str | None:
        """The first file that fits one of these globs."""
        hits = (hit for pattern in patterns for hit in sorted(self.place.glob(pattern)))
        return next((str(hit.relative_to(self.place)) for hit in hits), None)

    def says(self, name: str, pattern: str) -> str | None:
        """`name`, if that file has a line that begins so."""
        return name if re.search(f"^(?:{pattern})", self._text(name), re.MULTILINE) else None

    def package(self) -> dict[str, Any]:
        """What `package.json` says."""
        try:
            package = json.loads(self._text("package.json") or "{}")
        except ValueError:
            return {}
        return package if isinstance(package, dict) else {}

    def program(self, name: str) -> str | None:
        """Where this program is: first in what the project has installed itself."""
        own = (f"{self._environment() or '.venv'}/bin", "node_modules/.bin")
        places = [*(str(self.place / each) for each in own), os.environ.get("PATH", os.defpath)]
        if os.sep in name:
            return shutil.which(str(self.place / name))
        return shutil.which(name, path=os.pathsep.join(places))

    def owns(self, name: str) -> bool:
        """Whether the project's own environment has this program or module."""
        own = self._environment()
        return own is not None and bool(
            self.has(f"{own}/bin/{name}") or self.holds(f"{own}/lib/python*/site-packages/{name}")
        )

    def imports(self, module: str) -> bool:
        """Whether the project's Python can import this module."""
        if own := self._environment():
            return self.holds(f"{own}/lib/python*/site-packages/{module}") is not None
        return PathFinder.find_spec(module, [*sys.path, site.getusersitepackages()]) is not None

    def _environment(self) -> str | None:
        """The project's virtual environment, if its Python is on this machine."""
        return next((name for name in (".venv", "venv") if self.has(f"{name}/bin/python3")), None)

    def _text(self, name: str) -> str:
        file = self.place / name
        try:
            return file.read_text("utf-8", "replace") if file.is_file() else ""
        except OSError:  # not ours to read: then it says nothing
            return ""
