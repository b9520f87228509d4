"""How a call to an MCP server can fail, and what that says of its effect."""


class Failure(Exception):
    """A call brought no result; the message says why, as a clause about the server."""


class Gone(Failure):
    """The server no longer knows the session, and did nothing: a new session will do."""


class Lost(Failure):
    """The connection broke during the call, which may have taken effect."""


class Late(Failure):
    """The server did not answer in time; the call may have taken effect, or do so yet."""
