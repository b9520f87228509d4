"""What calls print while they are under way, for those who watch; the store gets it at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from perdure.contracts import LiveOutput
from perdure.plain_text import storable
from perdure.secrets import Secrets

TAIL = 2000
"""Characters that one heartbeat carries."""
_KEPT = 2 * TAIL
"""Bytes; more than are told, so that a secret at the beginning is masked whole."""


@dataclass(slots=True)
class _Printed:
    call: str
    total: int = 0
    tail: bytearray = field(default_factory=bytearray)

    def take(self, output: bytes) -> None:
        self.total += len(output)
        self.tail += output[-_KEPT:]
        del self.tail[:-_KEPT]


class Live:
    """The output of the calls that this worker carries out, by their keys."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._printed: dict[str, _Printed] = {}

    @contextmanager
    def showing(self, key: str, call: str) -> Iterator[Callable[[bytes], None]]:
        """Takes what the call prints, until the block ends."""
        printed = self._printed[key] = _Printed(call)
        try:
            yield printed.take
        finally:
            del self._printed[key]

    def of(self, key: str) -> LiveOutput | None:
        """What the call has printed so far; None while that is nothing."""
        printed = self._printed.get(key)
        if printed is None or not printed.total:
            return None
        text = storable(printed.tail.decode(errors="backslashreplace"))
        tail = self._secrets.mask(text)[-TAIL:]
        return LiveOutput(call=printed.call, total=printed.total, tail=tail)
