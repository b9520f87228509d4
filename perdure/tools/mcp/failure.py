"""How a call to an MCP server can fail, and what that says of its effect."""

from mcp import MCPError
from mcp.types import CONNECTION_CLOSED

from perdure.tools.mcp.courier import GONE, LOST, UNREACHED


class Failure(Exception):
    """A call brought no result; the message says why, as a clause about the server."""


class Gone(Failure):
    """The server no longer knows the session, and did nothing: a new session will do."""


class Lost(Failure):
    """The connection broke during the call, which may have taken effect."""


class Late(Failure):
    """The server did not answer in time; the call may have taken effect, or do so yet."""


def failure_of(error: MCPError, *, is_open: bool) -> Failure:
    """What the protocol's error means, on a connection that is open still or not any more."""
    # Servers use this code as well, for errors of any kind.
    broken = error.code == CONNECTION_CLOSED and (
        not is_open or error.message.startswith("SSE stream")
    )
    if error.code == LOST or broken:
        return Lost(f"the connection broke during the call ({error.message})")
    if error.code == GONE:
        return Gone(error.message)
    if error.code == UNREACHED:
        return Failure(error.message)
    return Failure(f"it refused the call: {error.message}")
