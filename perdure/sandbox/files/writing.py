"""Writing a recorded state into a folder: all that it takes, in batches for `inside.restore`."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, NamedTuple

from perdure.sandbox.files.parts import Part, batches, parts_of
from perdure.sandbox.inside.index import Entries, Entry
from perdure.sandbox.inside.pieces import hole
from perdure.store.files import Files


async def writing(files: Files, entries: Entries) -> AsyncIterator[tuple[dict[str, Any], bytes]]:
    """Arguments and data of each `restore`, in order."""
    for batch in batches(_steps(entries), lambda step: step.length):
        parts = [step.part for step in batch if step.part]
        contents = await files.contents([part.digest for part in parts])
        yield _arguments(batch), b"".join(contents[part.digest] for part in parts)


class _Step(NamedTuple):
    """One thing that `restore` is asked to do."""

    path: str
    make: Entry | None = None
    part: Part | None = None
    settle: Entry | None = None

    @property
    def length(self) -> int:
        return self.part.length if self.part else 0


def _steps(entries: Entries) -> Iterator[_Step]:
    """Parents are made first, contents are written then, and folders settled last."""
    paths = sorted(entries)
    for path in paths:
        yield _Step(path, make=entries[path])
    for path in paths:
        if entries[path][0] == "f":
            for part in parts_of(path, entries[path]):
                if part.digest != hole():  # what is not written is a hole, and takes no space
                    yield _Step(path, part=part)
            yield _Step(path, settle=entries[path])
    for path in reversed(paths):
        if entries[path][0] == "d":
            yield _Step(path, settle=entries[path])


def _arguments(batch: Sequence[_Step]) -> dict[str, Any]:
    return {
        "make": {step.path: step.make for step in batch if step.make},
        "write": [step.part.place for step in batch if step.part],
        "settle": {step.path: step.settle for step in batch if step.settle},
    }
