"""Doing together what arrives together: one commit, or one query, for everyone who waits."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy.exc import OperationalError

Item = TypeVar("Item")
Answer = TypeVar("Answer")
_Waiting = tuple[Item, asyncio.Future[Answer]]


class Grouping(Generic[Item, Answer]):
    """Calls `work` with every item that came while it was busy with those before.

    This is what lets a hundred agents share SQLite's single writer and one disk flush.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]]) -> None:
        """`work` answers each item, in order.

        What it raises is raised to those whose items cannot be worked on by themselves either.
        """
        self._work = work
        self._waiting: list[_Waiting[Item, Answer]] = []
        self._working: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._empty())
        return await answer

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._working is not None:
            await self._working

    async def _empty(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            await self._answer(group)

    async def _answer(self, group: Sequence[_Waiting[Item, Answer]]) -> None:
        try:
            answers = await self._work([item for item, _ in group])
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear it
            if len(group) > 1 and not isinstance(error, OSError | OperationalError):
                # It may be the fault of one item, which must not be the ruin of the others.
                for each in group:
                    await self._answer([each])
                return
            for _, waiting in group:
                if not waiting.done():
                    waiting.set_exception(error)
        else:
            for (_, waiting), answer in zip(group, answers, strict=True):
                if not waiting.done():
                    waiting.set_result(answer)
