"""The list of a server's tools: asked for, and kept for when the server is not there."""

import logging
from pathlib import Path
from secrets import token_hex

from mcp import Client
from mcp.types import Tool
from pydantic import TypeAdapter, ValidationError

_PAGES = 100
"""So many pages of a list are read: one without end must not hold us."""
_LISTING = TypeAdapter(list[Tool])

logger = logging.getLogger(__name__)


async def list_tools(client: Client) -> list[Tool]:
    tools: list[Tool] = []
    cursor: str | None = None
    for _page in range(_PAGES if client.server_capabilities.tools else 0):
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None:
            break
    return tools


class Memory:
    """One list of tools, in a file. Without it the server's tools are unknown until it answers."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def recall(self) -> list[Tool] | None:
        """The list that was kept last, if there is one that can be read."""
        try:
            return _LISTING.validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            logger.warning("The last list of tools in %s cannot be read: %s", self._file, error)
            return None

    def keep(self, listed: list[Tool]) -> None:
        """Write the list, in one step: other workers of the same home read and write it too."""
        draft = self._file.with_suffix(f".{token_hex(4)}")
        try:
            draft.write_bytes(_LISTING.dump_json(listed, by_alias=True, exclude_none=True))
            draft.replace(self._file)
        except OSError as error:
            draft.unlink(missing_ok=True)
            logger.warning("The list of tools cannot be kept in %s: %s", self._file, error)
