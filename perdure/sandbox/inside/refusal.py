"""What the model is told of an operation on its files that cannot be carried out."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

_REASONS = {
    errno.EACCES: "permission is denied; look at its mode and its folder's",
    errno.EDQUOT: "the sandbox's share of the disk is used up; delete what is not needed",
    errno.EFBIG: "it would be larger than a file of this sandbox may be",
    errno.ELOOP: "its symbolic links lead in a circle",
    errno.ENOSPC: "the sandbox's disk is full; delete what is not needed",
    errno.EROFS: "it is on a disk that is read-only here",
}


class Refused(Exception):
    """A sentence for the model, which can do something about it."""


@contextmanager
def explained(action: str, path: str) -> Iterator[None]:
    """Turn what the system refuses into a sentence."""
    try:
        yield
    except FileNotFoundError:
        raise Refused(
            f"{path!r} does not exist in the workspace; list_files shows what there is."
        ) from None
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror)
        raise Refused(f"{path!r} cannot be {action}: {reason}.") from error
