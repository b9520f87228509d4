"""The messages of a team's members to each other, as their turns tell of them."""

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import Text, cast
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from perdure.contracts import SEND_MESSAGE
from perdure.store.store import Store, portions
from perdure.store.tables import Run, Turn
from perdure.tools.arguments import parse


class Messages:
    """Of the teams in one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def among(self, runs: Iterable[Run]) -> dict[str, int]:
        """How many the members sent in these runs, by `sender>receiver`."""
        senders = {run.id: run.member for run in runs if run.member is not None}
        found: Counter[str] = Counter()
        async with AsyncSession(self._store.engine) as session:
            for ids in portions(list(senders)):
                query = select(Turn.run_id, Turn.calls).where(
                    col(Turn.run_id).in_(ids), cast(col(Turn.calls), Text).contains(SEND_MESSAGE)
                )
                for run, calls in await session.exec(query):
                    receivers = (_receiver(call) for call in calls)
                    found.update(
                        f"{senders[run]}>{each}"
                        for each in receivers
                        if each is not None and each != senders[run]
                    )
        return dict(found)


def _receiver(call: dict[str, str]) -> str | None:
    """Of the message that the call sends; None for any other call."""
    if call["tool"] != SEND_MESSAGE or call["problem"]:
        return None
    return str(parse(SEND_MESSAGE, call["arguments"])["to"])
