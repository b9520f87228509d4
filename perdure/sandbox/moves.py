"""Where a run's files have moved: what is left of them elsewhere is out of date."""

from perdure.contracts import Place
from perdure.sandbox.sandbox import Moved
from perdure.store.store import Store


class Moves:
    """From machine to machine, of all runs in one store.

    A machine that was taken for lost may come back, and somebody still work at the place there.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def is_current(self, run: str, place: Place) -> bool:
        """Whether no later place has recorded a checkpoint."""
        return await self._store.claimed(_arrival(run, _number(run, place) + 1)) is None

    async def check(self, run: str, place: Place) -> None:
        """See that the files at the place are those that count.

        Raises:
            Moved: they are not.
        """
        if not await self.is_current(run, place):
            raise Moved(
                f"The workspace {place.name} has moved to another machine, and what is left of it"
                " here is out of date. Nothing can be done in it any more."
            )

    async def arrive(self, run: str, place: Place) -> None:
        """Have earlier places count no more: a checkpoint of this one is to be recorded."""
        for number in range(2, _number(run, place) + 1):
            await self._store.claim(_arrival(run, number), run, {"to": place.queue})


def next_name(run: str, earlier: Place) -> str:
    """Of a place that takes the place of the `earlier` one; the first bears the run's own id."""
    return f"{run}-{_number(run, earlier) + 1}"


def _number(run: str, place: Place) -> int:
    _, _, number = place.name.removeprefix(run).partition("-")
    return int(number or 1)


def _arrival(run: str, number: int) -> str:
    return f"{run}:place-{number}"
