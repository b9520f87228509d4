"""Errors that a person can act on: each message names the value, the cause and the cure."""


class PerdureError(Exception):
    """Something that the user, an operator or an agent's author can put right."""


class UnknownAgent(PerdureError):
    """No agent of that name is known."""


class UnknownTeam(PerdureError):
    """No team of that name is known."""


class UnknownModel(PerdureError):
    """No model of that name can be reached with the present settings."""


class ModelBusy(PerdureError):
    """Worth another try later: overload, rate limit, a broken connection or a broken reply."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the endpoint asks us to wait; None when it does not say."""


class BrokenReply(ModelBusy):
    """A reply came, and is not of the API's form; an endpoint that always does this is no use."""


class ModelRefused(PerdureError):
    """No use in trying again: a wrong key, an unknown model, a request that is not accepted."""


class PromptTooLong(ModelRefused):
    """The prompt does not fit the model's context window."""


class UnknownRun(PerdureError):
    """No run of that id is recorded."""


class StoreError(PerdureError):
    """The transcript store cannot be used as it is."""


class ServerError(PerdureError):
    """The Temporal server cannot be started or reached."""


class WorkspaceError(PerdureError):
    """The workspace cannot be prepared."""


class ToolError(Exception):
    """Raised by a tool: its message goes back to the model as the call's result."""


class OutcomeUnknown(ToolError):
    """Raised by a tool: the call began, and nothing says how it ended; it was not repeated."""
