"""How an error that no retry can mend is told to the workflow."""

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from perdure.errors import PerdureError


def final(error: PerdureError) -> ApplicationError:
    """Ends the run with the error's own sentence; benign, since it is no fault of the worker's.

    Raise it `from None`: the history is no place for a chain of tracebacks.
    """
    return ApplicationError(
        str(error),
        type=type(error).__name__,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN,
    )
