"""From a run's transcript to its next turn: what the model is shown, asked, and said."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cachetools import LRUCache

from perdure.contracts import LIST_TASKS, AgentSpec, Decision, ThinkInput
from perdure.errors import PromptTooLong
from perdure.model import transcript, window
from perdure.model.catalog import Model
from perdure.model.client import Models
from perdure.model.decision import decide
from perdure.model.faults import checked
from perdure.model.intake import Intake
from perdure.model.prompt import build_prompt
from perdure.model.reply import Reply
from perdure.store.store import Store
from perdure.store.tables import Run, StoredEntry, Turn, id_of, seat_of
from perdure.tools.offer import offers
from perdure.tools.registry import Offer, Registry

_BRIEFS_KEPT = 1_000
_WINDOW_SHARES = (1.0, 0.5, 0.25)
"""Shares of the window tried in turn: a model whose window is unknown may have a smaller one."""


@dataclass(frozen=True, slots=True)
class Brief:
    """What stays the same in every prompt of a run."""

    run: Run
    spec: AgentSpec
    model: Model
    offered: Mapping[str, Offer]
    overhead: int
    """Characters of a prompt without any transcript."""


class Thinker:
    """Appends turns to transcripts. Asking the same question twice gives the stored turn."""

    def __init__(self, store: Store, models: Models, registry: Registry) -> None:
        self._store = store
        self._models = models
        self._registry = registry
        self._intake = Intake(store)
        self._briefs: LRUCache[str, Brief] = LRUCache(_BRIEFS_KEPT)

    async def recall(self, request: ThinkInput) -> Decision | None:
        """The decision of the turn that is stored under the request's key, if there is one."""
        turn = await self._store.turn(id_of("t", request.key))
        return await self._decision(turn, request) if turn else None

    async def think(self, request: ThinkInput) -> Decision:
        """Ask the model, append the turn, decide.

        Raises ModelBusy (try again), ModelRefused or another PerdureError (do not).
        """
        brief = await self._brief(request.run)
        past = await self._store.path(request.head) if request.head else []
        lists_tasks = LIST_TASKS in brief.offered
        shown, new = await self._intake.take_in(request, past, lists_tasks=lists_tasks)
        began = time.monotonic()
        reply = await self._ask(brief, past, shown, closing=request.closing is not None)
        turn = Turn(
            id=id_of("t", request.key),
            run_id=request.run,
            parent_id=request.head,
            step=past[-1].step + 1 if past else 1,
            entries=[entry.id for entry in shown],
            thought=reply.thought,
            calls=[] if request.closing else checked(reply.calls, brief.offered),
            problem=reply.problem,
            characters=transcript.characters(
                shown, reply.thought, (call.arguments for call in reply.calls)
            ),
            model=brief.model.name,
            finish_reason=reply.finish_reason,
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            cost_usd=reply.cost_usd,
            seconds=time.monotonic() - began,
        )
        return decide(await self._store.keep(turn, *new), brief.spec, closing=bool(request.closing))

    async def _decision(self, turn: Turn, request: ThinkInput) -> Decision:
        brief = await self._brief(request.run)
        return decide(turn, brief.spec, closing=bool(request.closing))

    async def _brief(self, run_id: str) -> Brief:
        if run_id not in self._briefs:
            run = await self._store.run(run_id)
            spec = AgentSpec.model_validate(run.spec)
            model = self._models.catalog.find(run.model)
            offered = offers(self._registry, spec, model.tools, seat_of(run))
            bare = build_prompt(model, spec, list(offered.values()), [], closing=False)
            overhead = len(json.dumps(bare.body))
            self._briefs[run_id] = Brief(run, spec, model, offered, overhead)
        return self._briefs[run_id]

    async def _ask(
        self, brief: Brief, past: Sequence[Turn], shown: Sequence[StoredEntry], *, closing: bool
    ) -> Reply:
        model, tools = brief.model, list(brief.offered.values())
        for share in _WINDOW_SHARES:
            limit = window.budget(int(model.window * share), brief.overhead)
            exchanges = await self._fit(brief.run, limit, past, shown)
            prompt = build_prompt(model, brief.spec, tools, exchanges, closing=closing)
            try:
                return await self._models.ask(model, prompt)
            except PromptTooLong:
                if share == _WINDOW_SHARES[-1]:
                    raise
        raise AssertionError("the last share returns or raises")

    async def _fit(
        self, run: Run, limit: int, past: Sequence[Turn], shown: Sequence[StoredEntry]
    ) -> list[transcript.Exchange]:
        sizes = [*(turn.characters for turn in past), transcript.characters(shown, "", ())]
        # The last turn stays whatever its size: without it the model could not see what it did.
        first = min(window.first_shown(sizes, limit), max(0, len(past) - 1))
        kept = past[first:]
        found = await self._store.entries(each for turn in kept for each in turn.entries)
        exchanges = transcript.arrange(kept, found, shown, limit)
        return [_left_out(run, first), *exchanges] if first else exchanges


def _left_out(run: Run, first: int) -> transcript.Exchange:
    """In place of what no longer fits: the task, and that there was more."""
    notice = f"[The first {first} steps of this run are left out here: they no longer fit.]"
    texts = {"task": run.task, "notice": notice}
    entries = [
        StoredEntry(id="", run_id=run.id, kind=kind, text=text) for kind, text in texts.items()
    ]
    return transcript.Exchange(entries, None)
