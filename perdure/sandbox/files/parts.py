"""Files as the pieces that they consist of, and many of anything as batches of a bounded size."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from perdure.sandbox.inside.index import Changes, Entry
from perdure.sandbox.inside.pieces import PIECE

_BATCH_BYTES = 16 * 2**20
_BATCH_ITEMS = 1000

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece as it stands in a file."""

    digest: str
    path: str
    offset: int
    length: int

    @property
    def place(self) -> tuple[str, int, int]:
        return self.path, self.offset, self.length


def parts(changes: Changes) -> Iterator[Part]:
    """Of every file that is there afterwards."""
    for path, entry in changes.items():
        if entry is not None:
            yield from parts_of(path, entry)


def parts_of(path: str, entry: Entry) -> Iterator[Part]:
    match entry:
        case ["f", _, _, size, digests]:
            for number, digest in enumerate(digests):
                offset = number * PIECE
                yield Part(digest, path, offset, min(PIECE, size - offset))


def batches(items: Iterable[Item], length: Callable[[Item], int]) -> Iterator[list[Item]]:
    """In order; none larger than what a sandbox and the store take well at once."""
    batch: list[Item] = []
    size = 0
    for item in items:
        if batch and (len(batch) == _BATCH_ITEMS or size + length(item) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length(item)
    if batch:
        yield batch
