"""A pool of servers that are written into a file, as a user does it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from perdure.tools.mcp.pool import McpServers
from perdure.tools.tool import ToolContext

HERE = Path(__file__).parent

Pool = Callable[..., Awaitable[McpServers]]
Call = Callable[..., Coroutine[Any, Any, str]]


@pytest.fixture
def playing() -> Callable[..., dict[str, Any]]:
    """The entry of a server that is started as a program."""

    def entry(*options: str, **fields: Any) -> dict[str, Any]:
        arguments = [str(HERE / "playing.py"), *options]
        return {"command": sys.executable, "args": arguments} | fields

    return entry


@pytest.fixture
def old() -> dict[str, Any]:
    """The entry of a server that speaks the older protocol only."""
    return {"command": sys.executable, "args": [str(HERE / "old.py")]}


@pytest_asyncio.fixture
async def pool(tmp_path: Path) -> AsyncIterator[Pool]:
    """Open a pool of these servers; it is closed after the test."""
    opened: list[McpServers] = []

    async def open_pool(
        servers: dict[str, Any],
        environment: dict[str, str] | None = None,
        patience: float = 30.0,
    ) -> McpServers:
        file = tmp_path / ".mcp.json"
        file.write_text(json.dumps({"mcpServers": servers}))
        pool = McpServers([file], tmp_path / "mcp", environment or {})
        await pool.open(patience)
        opened.append(pool)
        return pool

    yield open_pool
    await asyncio.gather(*(each.close() for each in opened))


@pytest.fixture
def context() -> ToolContext:
    """What a tool of a server is told, and has no use for."""

    async def begin(detail: dict[str, Any]) -> None:
        return None

    return ToolContext(run="r", key="k", sandbox=None, show=len, begin=begin)  # type: ignore[arg-type]  # it is for the tools of this process


@pytest.fixture
def call(context: ToolContext) -> Call:
    """Call a tool as the runner does: check the arguments, then carry it out."""

    async def call_tool(pool: McpServers, name: str, **arguments: Any) -> str:
        tool = pool.find(name)
        assert tool is not None
        return await tool.call(context, tool.check(json.dumps(arguments)))

    return call_tool
