"""A run or a team with all that is below it, as far as the store and Temporal know."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlmodel import select
from temporalio.client import Client

from perdure.console.recorded import lead_of, recorded, with_spending
from perdure.console.standing import CUT_SHORT, Standing, is_team, reachable, standings, team_state
from perdure.console.tree import Node, grow
from perdure.settings import Settings
from perdure.store.family import Family
from perdure.store.store import RunSummary, Store
from perdure.store.tables import Run
from perdure.teams.contracts import TeamState
from perdure.teams.messages import Messages
from perdure.teams.record import spec_of


@dataclass(frozen=True, slots=True)
class Relations:
    store: Store
    client: Client | None
    run: Run
    standing: Standing
    summaries: Sequence[RunSummary]
    """Of the runs below it, newest first."""
    below: Sequence[Standing]
    """The same runs."""

    @classmethod
    async def load(cls, settings: Settings, store: Store, run_id: str) -> Self:
        """Raises UnknownRun."""
        run = await store.find_run(run_id)
        summaries = await Family(store).of(run_id)
        client = await reachable(settings)
        own = await store.summaries(select(Run.id).where(Run.id == run.id))
        standing, *below = await standings([*own, *summaries], client)
        return cls(store, client, run, standing, summaries, below)

    @property
    def is_team(self) -> bool:
        return is_team(self.run)

    @property
    def told(self) -> dict[str, Any]:
        """As JSON tells it."""
        run = self.run.model_dump()
        return {"run": run, "status": self.standing.status, "below": self.below}

    @property
    def top(self) -> Node:
        spent = sum((each.spent for each in self.below), self.standing.spent)
        return Node(self.standing, self.nodes, 1, spent)

    @property
    def nodes(self) -> tuple[Node, ...]:
        return grow(self.run.workflow_id, self.below)

    @property
    def members(self) -> tuple[str, ...]:
        """The names of a team's, the lead's first."""
        return spec_of(self.run).names if self.is_team else ()

    @property
    def lead(self) -> RunSummary | None:
        """The last run of the team's lead that has come to a step."""
        return lead_of(self.run, self.summaries)

    async def messages(self) -> dict[str, int]:
        """How many went from whom to whom; those to nobody were refused."""
        sent = await Messages(self.store).among(each.run for each in self.summaries)
        return {way: n for way, n in sent.items() if way.partition(">")[2] in self.members}

    async def team_state(self) -> TeamState:
        """What the team says; what the store has of it, where it cannot be asked."""
        # One that was cut short still says what it said last.
        client = None if self.standing.status in CUT_SHORT else self.client
        state = await team_state(client, self.run.workflow_id)
        if state is None or not state.members:
            return recorded(self.run, self.summaries, await self.messages())
        return await with_spending(state, Family(self.store))
