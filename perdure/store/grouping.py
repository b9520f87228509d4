"""Doing together what arrives together: one commit, or one query, for everyone who waits."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Grouping(Generic[Item, Answer]):
    """Calls `work` with every item that came while it was busy with those before.

    This is what lets a hundred agents share SQLite's single writer and one disk flush.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]]) -> None:
        """`work` answers each item, in order; what it raises is raised to all who wait."""
        self._work = work
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
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
            try:
                answers = await self._work([item for item, _ in group])
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear it
                for _, waiting in group:
                    if not waiting.done():
                        waiting.set_exception(error)
            else:
                for (_, waiting), answer in zip(group, answers, strict=True):
                    if not waiting.done():
                        waiting.set_result(answer)
