"""The tools that a server listed last, kept for when it is not there."""

import logging
from pathlib import Path
from secrets import token_hex

from mcp.types import Tool
from pydantic import TypeAdapter, ValidationError

_LISTING = TypeAdapter(list[Tool])

logger = logging.getLogger(__name__)


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
