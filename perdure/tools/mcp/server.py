"""An MCP server: its tools as they were last listed, and the one connection that calls share."""

import asyncio
import logging
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from mcp import MCPError
from mcp.types import Tool as ListedTool

from perdure.errors import OutcomeUnknown, PerdureError, ToolError
from perdure.tools.mcp.config import Endpoint, Program
from perdure.tools.mcp.connection import OPENING_SECONDS, Connection
from perdure.tools.mcp.failure import Failure, Gone, Late, Lost
from perdure.tools.mcp.listing import Memory
from perdure.tools.mcp.names import label
from perdure.tools.mcp.result import told
from perdure.tools.mcp.tool import McpTool
from perdure.tools.mcp.way import way

_ATTEMPTS = 3
_PAUSES = (1.0, 5.0, 15.0)
_LAST_PAUSE = 60.0
_LONGEST_REASON = 200
"""Characters: what is wrong with a schema may repeat all of it."""

logger = logging.getLogger(__name__)


class Unreachable(ToolError):
    """There is no connection to the server, and none can be opened now."""


class McpServer:
    """One server of the file; it is reached for when it is needed, and again when it was lost."""

    def __init__(self, name: str, spec: Program | Endpoint, folder: Path) -> None:
        """`folder` keeps the last list of its tools, and what it says on standard error."""
        self.name = name
        self.tools: dict[str, McpTool] = {}
        self.problem: str | None = f"MCP server '{name}' has not answered yet."
        """Why its tools are not known; None once they have been listed."""
        self.attempted = asyncio.Event()
        """Set when it has been reached, or could not be, for the first time."""
        self._spec = spec
        self._log = folder / f"{label(name)}.log"
        self._memory = Memory(folder / f"{label(name)}.json")
        self._opening: asyncio.Task[Connection] | None = None
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Know the tools of last time at once, and those of now as soon as the server is there."""
        if (listed := self._memory.recall()) is not None:
            self._adopt(listed)
        self._keeper = asyncio.create_task(self._keep_trying())

    async def close(self) -> None:
        """End the connection; a server that was started here has ended when this returns."""
        tasks = [task for task in (self._keeper, self._opening) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if connection := _opened(self._opening):
            await connection.close()

    async def call(self, tool: McpTool, arguments: dict[str, Any]) -> str:
        """The result of a call, which is repeated only where that does no harm.

        Raises:
            OutcomeUnknown: the call may have taken effect, and must not be repeated.
            ToolError: there is no result.
        """
        for _attempt in range(_ATTEMPTS):
            connection = await self._connection()
            try:
                return told(await connection.call(tool.listed, arguments, self._spec.timeout))
            except Gone:
                connection.end()
            except (Lost, Late) as error:
                if tool.replay == "unsafe":
                    raise OutcomeUnknown(_unknown(self.name, error)) from error
                if isinstance(error, Late):
                    raise ToolError(f"MCP server '{self.name}' failed: {error}.") from error
            except Failure as error:
                raise ToolError(f"MCP server '{self.name}' failed: {error}.") from error
        raise ToolError(f"MCP server '{self.name}' broke off {_ATTEMPTS} times; try again later.")

    async def _connection(self) -> Connection:
        """The open connection; if there is none, everybody waits for the same new one."""
        opened = _opened(self._opening)
        if opened is not None and opened.is_open:
            return opened
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open(opened))
        # Shielded: the opening goes on for the others when one caller is cancelled.
        return await asyncio.shield(self._opening)

    async def _open(self, previous: Connection | None) -> Connection:
        if previous is not None:
            await previous.close()  # never two of one server
        try:
            return await Connection.open(way(self._spec, self._log), self._take)
        except Exception as error:  # whatever the way there raises: it is told, and tried again
            cause = _cause(error)
            raise Unreachable(f"MCP server '{self.name}' cannot be reached: {cause}.") from error

    async def _keep_trying(self) -> None:
        said = ""
        for pause in chain(_PAUSES, repeat(_LAST_PAUSE)):
            try:
                await self._connection()
            except Unreachable as error:
                if str(error) != said:
                    logger.warning("%s It is tried again. See %s", error, self._log)
                said = str(error)
                if not self.tools:
                    self.problem = said
            else:
                return
            finally:
                self.attempted.set()
            await asyncio.sleep(pause)

    def _take(self, listed: list[ListedTool]) -> None:
        self._adopt(listed)
        self._memory.keep(listed)

    def _adopt(self, listed: list[ListedTool]) -> None:
        tools: dict[str, McpTool] = {}
        for each in listed:
            try:
                tool = McpTool.of(self.name, each, self.call)
            except PerdureError as error:
                logger.warning(
                    "Tool '%s' of MCP server '%s' is left out, for the schema of its arguments: %s",
                    each.name,
                    self.name,
                    str(getattr(error.__cause__, "message", error.__cause__))[:_LONGEST_REASON],
                )
                continue
            tools.setdefault(tool.name, tool)
        self.tools, self.problem = tools, None


def _opened(opening: asyncio.Task[Connection] | None) -> Connection | None:
    """The connection that was opened, if that is done; it may have ended since."""
    if opening is None or not opening.done() or opening.cancelled() or opening.exception():
        return None
    return opening.result()


def _cause(error: BaseException) -> str:
    """The first thing that went wrong, of the groups that concurrent tasks report in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"it did not answer within {OPENING_SECONDS:g} s"
    if isinstance(error, FileNotFoundError):
        return f"its command {error.filename!r} is not found; install it, or correct the file"
    if isinstance(error, MCPError):
        return error.message
    return f"{type(error).__name__}: {error}"


def _unknown(server: str, error: Failure) -> str:
    return (
        f"The outcome is unknown. MCP server '{server}' failed: {error}. The call was not repeated."
        " Look whether it took effect before you try again."
    )
