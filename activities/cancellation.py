"""Why an attempt at an effect is cancelled."""

from temporalio import activity


def is_asked_for() -> bool:
    """Whether the run wants the effect no more; not so when its worker ends.

    Nor when the server has given up on the attempt: the next one finds what this one began.
    """
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested


def is_given_up() -> bool:
    """Whether the server, rather than a person or this worker's end, cancelled the attempt."""
    details = activity.cancellation_details()
    return details is not None and not (details.cancel_requested or details.worker_shutdown)
