"""The MCP servers of a worker, and the tools that they have at the moment."""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.tools.mcp.config import read_servers
from perdure.tools.mcp.names import prefix

if TYPE_CHECKING:
    from perdure.tools.mcp.server import McpServer
    from perdure.tools.mcp.tool import McpTool

logger = logging.getLogger(__name__)


class McpServers:
    """All servers of the files; between `open` and `close` their connections are pooled."""

    def __init__(
        self, files: Sequence[Path], folder: Path, environment: Mapping[str, str] = os.environ
    ) -> None:
        """`folder` is where lists of tools and logs are kept.

        Raises:
            PerdureError: a file says something that cannot be used.
        """
        self._specs = read_servers(files, environment)
        self._folder = folder
        self._servers: list[McpServer] = []

    async def open(self, patience: float = 10.0) -> None:
        """List the tools of all servers; those that take longer than `patience` seconds, later."""
        if not self._specs:
            return
        from perdure.tools.mcp.server import McpServer  # noqa: PLC0415  takes a second to load

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._servers = [McpServer(name, spec, self._folder) for name, spec in self._specs.items()]
        for server in self._servers:
            server.start()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                for server in self._servers:
                    await server.attempted.wait()
        self._report_slow(patience)

    async def close(self) -> None:
        """End every connection, and every server that was started here."""
        await asyncio.gather(*(server.close() for server in self._servers))

    def tools(self) -> list["McpTool"]:
        """What the servers listed last, in the order of the files."""
        return [tool for server in self._servers for tool in server.tools.values()]

    def find(self, name: str) -> "McpTool | None":
        for server in self._servers:
            if tool := server.tools.get(name):
                return tool
        return None

    def owner(self, name: str) -> str | None:
        """The server whose tools have names like this one; no other tool may have such a name."""
        return next((each for each in self._specs if name.startswith(prefix(each))), None)

    def problem(self, name: str) -> str | None:
        """Why nothing is known of a tool of this name that may well be there, if that is so."""
        owner = self.owner(name)
        return next((each.problem for each in self._servers if each.name == owner), None)

    def _report_slow(self, patience: float) -> None:
        for server in self._servers:
            if not server.attempted.is_set():
                logger.warning(
                    "MCP server '%s' has not answered within %g s. Until it does, it has %s.",
                    server.name,
                    patience,
                    "the tools of last time" if server.tools else "no tools",
                )
