"""One open session with an MCP server, from its handshake to its end."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import Any

from mcp import Client, MCPError
from mcp.client import IncomingMessage
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.types import CallToolResult, Implementation, Tool, ToolListChangedNotification
from pydantic import ValidationError

from perdure.tools.mcp.failure import Failure, Late, Lost, failure_of
from perdure.tools.mcp.listing import list_tools
from perdure.tools.mcp.way import Way

OPENING_SECONDS = 60.0
"""Some servers are downloaded when they are first started."""
_CLOSING_SECONDS = 10.0
"""The client takes less than that to end a child and all that it started."""
_LISTENING_PAUSE = 30.0
_US = Implementation(name="perdure", version=version("perdure"))

logger = logging.getLogger(__name__)


class Connection:
    """A session that many tasks share; one task of its own enters and leaves all that it needs.

    `listed` is given the server's tools, at the start and after every change of theirs.
    """

    def __init__(self, way: Way, listed: Callable[[list[Tool]], None]) -> None:
        self._listed = listed
        self._ended = asyncio.Event()
        self._stale = asyncio.Event()
        self._client: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._own(way))
        self._owner.add_done_callback(self._take_leave)

    @classmethod
    async def open(cls, way: Way, listed: Callable[[list[Tool]], None]) -> "Connection":
        """Reach the server and list its tools; raises whatever prevents that."""
        connection = cls(way, listed)
        try:
            await connection._client
        except BaseException:  # a cancellation too must leave no child behind
            await connection.close()
            raise
        return connection

    @property
    def is_open(self) -> bool:
        return not self._ended.is_set()

    async def call(self, tool: str, arguments: dict[str, Any], seconds: float) -> CallToolResult:
        """Call a tool; the session outlives a call that fails, is late or is cancelled.

        Raises:
            Failure: there is no result.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._client.result().call_tool(tool, arguments)
        except TimeoutError as error:
            raise Late(f"it did not answer within {seconds:g} s") from error
        except MCPError as error:
            raise failure_of(error, is_open=self.is_open) from error
        except (RuntimeError, ValidationError) as error:  # how the client refuses an answer
            raise Failure(f"it gave an answer that is against the protocol: {error}") from error

    def end(self) -> None:
        """Let go of the session; its owner sees to the rest."""
        self._ended.set()

    async def close(self) -> None:
        """End the session; a server that was started for it has ended when this returns."""
        self.end()
        if not self._client.done() or self._client.cancelled():
            self._owner.cancel()
        await asyncio.wait({self._owner}, timeout=_CLOSING_SECONDS)
        self._owner.cancel()
        await asyncio.wait({self._owner}, timeout=_CLOSING_SECONDS)

    async def _own(self, way: Way) -> None:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(OPENING_SECONDS):
                session = Client(
                    way(self._ended.set), message_handler=self._heed, client_info=_US, cache=None
                )
                client = await stack.enter_async_context(session)
                self._listed(await list_tools(client))
            self._client.set_result(client)
            async with asyncio.TaskGroup() as followers:
                following = [
                    followers.create_task(self._listen(client)),
                    followers.create_task(self._list_again(client)),
                ]
                await self._ended.wait()
                for each in following:
                    each.cancel()

    def _take_leave(self, owner: asyncio.Task[None]) -> None:
        self._ended.set()
        error = None if owner.cancelled() else owner.exception()
        if not self._client.done():
            self._client.set_exception(error or Lost("it was let go of before it answered"))
        elif error is not None:
            logger.info("A connection to an MCP server ended: %r", error)

    async def _heed(self, message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._stale.set()

    async def _listen(self, client: Client) -> None:
        """Ask to be told of changes, as a server of the newer protocol wants to be asked."""
        tools = client.server_capabilities.tools
        while tools is not None and tools.list_changed:
            try:
                async with client.listen(tools_list_changed=True) as events:
                    async for _event in events:
                        self._stale.set()
            except (ListenNotSupportedError, MCPError):
                return
            except SubscriptionLost:
                logger.debug("An MCP server ended the stream of its changes")
            await asyncio.sleep(_LISTENING_PAUSE)
            self._stale.set()  # for what changed meanwhile

    async def _list_again(self, client: Client) -> None:
        while await self._stale.wait():
            self._stale.clear()
            try:
                async with asyncio.timeout(OPENING_SECONDS):
                    self._listed(await list_tools(client))
            except (MCPError, ValidationError, TimeoutError) as error:
                logger.warning("The changed tools of an MCP server cannot be listed: %s", error)
