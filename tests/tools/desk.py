"""Where a test calls tools as a model does: with JSON, and with a folder for its files."""

import json
from pathlib import Path
from typing import Any

import pytest

from perdure.errors import ToolError
from perdure.sandbox.folder import Folder
from perdure.tools.tool import Tool, ToolContext


class Desk:
    """A workspace in `place`, and calls with it."""

    def __init__(self, place: Path) -> None:
        self.root = place / "workspace"
        self.root.mkdir(exist_ok=True)
        self._sandbox = Folder(place)

    async def call(self, tool: Tool, **arguments: Any) -> str:
        context = ToolContext("run", "run:1", self._sandbox, _show, _begin)
        return await tool.call(context, tool.check(json.dumps(arguments)))

    async def refusal(self, tool: Tool, **arguments: Any) -> str:
        with pytest.raises(ToolError) as refused:
            await self.call(tool, **arguments)
        return str(refused.value)


def _show(output: bytes) -> None:
    """Nobody watches."""


async def _begin(detail: dict[str, Any]) -> None:
    """Nothing was begun before."""
