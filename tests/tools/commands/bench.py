"""Where a test runs commands as a model does: with JSON, in a real sandbox on this machine."""

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from perdure.errors import ToolError
from perdure.sandbox.shim import Shim
from perdure.tools.tool import Tool, ToolContext


class Bench:
    """One run's sandbox and its durable record of what has begun."""

    def __init__(self, sandbox: Shim, root: Path) -> None:
        self.root = root
        self.shown = b""
        """What those who watch have seen."""
        self._sandbox = sandbox
        self._begun: dict[str, dict[str, Any]] = {}
        self._keys = count()

    async def call(self, tool: Tool, *, key: str | None = None, **arguments: Any) -> str:
        key = key or f"run:{next(self._keys)}"

        async def begin(detail: dict[str, Any]) -> dict[str, Any] | None:
            earlier = self._begun.get(key)
            self._begun.setdefault(key, detail)
            return earlier

        context = ToolContext("run", key, self._sandbox, self._show, begin)
        return await tool.call(context, tool.check(json.dumps(arguments)))

    async def refusal(self, tool: Tool, **arguments: Any) -> str:
        with pytest.raises(ToolError) as refused:
            await self.call(tool, **arguments)
        return str(refused.value)

    def write(self, name: str, text: str) -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def _show(self, output: bytes) -> None:
        self.shown += output
