"""What an entry quotes: texts that agents wrote and answers of runs, taken from the store."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from perdure.contracts import AgentResult, Answer, Argument, Entry, Quote
from perdure.errors import StoreError, ToolError
from perdure.model.window import clip
from perdure.plain_text import storable
from perdure.store.results import Results
from perdure.store.store import Store
from perdure.store.tables import Turn
from perdure.tools.arguments import parse

ONE_QUOTE = 16_000
"""Characters that are shown of a text that is quoted alone: a whole message, or a whole task."""
ALL_QUOTES = 12_000
"""Characters that are shown of all texts together where there are several."""

MOST_QUOTES = 50
"""More would leave too little of each."""

CUT = "[Some results are cut or left out. list_tasks with the id of one task gives its whole one.]"


class Quotes:
    """Writes out what entries point at."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._results = Results(store)

    async def written_out(self, entry: Entry, *, lists_tasks: bool) -> str:
        """The entry's own text, then each text that it quotes, under its label.

        `lists_tasks` says whether the reader can ask for what had to be cut.

        Raises:
            StoreError: a turn is not in this worker's store.
        """
        quotes = entry.quotes[:MOST_QUOTES]
        texts = await self._texts(quotes)
        most = ONE_QUOTE if len(texts) == 1 else share([len(text) for text in texts], ALL_QUOTES)
        parts = [entry.text or "", *map(partial(_under_label, most), quotes, texts)]
        if left_out := len(entry.quotes) - len(quotes):
            parts.append(f"[… {left_out} more are left out …]")
        is_cut = left_out or any(len(text) > most for text in texts)
        if is_cut and lists_tasks and len(quotes) > 1:
            parts.append(CUT)
        return storable("\n\n".join(part for part in parts if part))

    async def argument(self, pointer: Argument) -> str:
        """The text in the argument of a stored call, or a sentence that it is not there.

        Raises:
            StoreError: the turn is not in this worker's store.
        """
        turn = await self._store.turn(pointer.turn)
        if turn is None:
            message = (
                f"Turn '{pointer.turn}' is not in this worker's store. Give every worker the same"
                " DATABASE_URL."
            )
            raise StoreError(message)
        return _argument(turn, pointer)

    async def _texts(self, quotes: Sequence[Quote]) -> list[str]:
        runs = [quote.text.run for quote in quotes if isinstance(quote.text, Answer)]
        results = await self._results.of(runs) if runs else {}
        return await asyncio.gather(*(self._text(quote, results) for quote in quotes))

    async def _text(self, quote: Quote, results: Mapping[str, AgentResult]) -> str:
        if isinstance(quote.text, Argument):
            return await self.argument(quote.text)
        return _answer(quote.text.run, results.get(quote.text.run))


def share(sizes: Sequence[int], most: int) -> int:
    """How much of each can be shown so that all together are at most `most`.

    What the short ones leave is for the long ones.
    """
    left = most
    for index, size in enumerate(sorted(sizes)):
        each = left // (len(sizes) - index)
        if size > each:
            return each
        left -= size
    return most


def _under_label(most: int, quote: Quote, text: str) -> str:
    shown = clip(text, most)
    return f"{quote.label}\n{shown}" if quote.label else shown


def _argument(turn: Turn, pointer: Argument) -> str:
    try:
        call = next(call for call in turn.calls if call["id"] == pointer.call)
        value: Any = parse(call["tool"], call["arguments"])
        for key in pointer.path:
            value = value[key]
    except (StopIteration, ToolError, LookupError, TypeError):
        place = ".".join(str(key) for key in pointer.path)
        return f"[There is no text at {place} of call '{pointer.call}' in turn '{turn.id}'.]"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _answer(run: str, result: AgentResult | None) -> str:
    if result is None:  # a run that could not even be opened has none
        return f"[Run '{run}' has no recorded result.]"
    ended = f"{result.status}: {result.reason}" if result.reason else str(result.status)
    return f"{ended}\n{result.answer}" if result.answer else ended
