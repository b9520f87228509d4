"""How a run is opened: its agent, model, tools and limits are settled once and recorded."""

from typing import Any

from perdure.agents import Agents
from perdure.contracts import (
    DELEGATE,
    AgentRequest,
    AgentSpec,
    Entry,
    Limits,
    OpenRun,
    Origin,
    RunPlan,
    SandboxKind,
    SandboxSpec,
    Seat,
)
from perdure.errors import PerdureError
from perdure.model.catalog import Catalog, Model
from perdure.model.quotes import Quotes
from perdure.plain_text import storable
from perdure.store.store import Store
from perdure.store.tables import Run, StoredEntry, id_of, seat_of
from perdure.teams.briefing import brief
from perdure.teams.contracts import TeamSpec
from perdure.teams.record import spec_of
from perdure.tools.offer import offers
from perdure.tools.registry import Registry
from perdure.tools.tool import Tool

DEFAULT_LIMITS = Limits(max_steps=50)
_PREVIEW_CHARACTERS = 200


class Opening:
    """Opens runs. Opening one twice gives the plan of the first time."""

    def __init__(
        self,
        store: Store,
        agents: Agents,
        catalog: Catalog,
        registry: Registry,
        *,
        max_depth: int,
        max_children: int,
    ) -> None:
        self._store = store
        self._agents = agents
        self._catalog = catalog
        self._registry = registry
        self._quotes = Quotes(store)
        self._max_depth = max_depth
        self._max_children = max_children

    async def open(self, request: OpenRun) -> RunPlan:
        """Record the run and its task; raises a PerdureError for what cannot be settled."""
        recorded = await self._store.find(request.run)
        run = recorded or await self._record(request)
        return self._plan(run, request.request.origin)

    async def _record(self, request: OpenRun) -> Run:
        asked = request.request
        origin, seat = asked.origin, asked.origin.seat if asked.origin else None
        team = await self._store.find_run(origin.parent) if origin and seat else None
        spec = await self._settle(asked, team)
        inherited = origin.model if origin else None
        model = self._catalog.find(spec.model or inherited or self._catalog.default)
        offers(self._registry, spec, model.tools, seat)
        check_budget(spec.limits, model)
        if asked.head is not None:
            await self._store.path(asked.head)
        task = StoredEntry(
            id=_task_id(request.run),
            run_id=request.run,
            kind="task",
            text=storable(await self._task(asked, team)),
        )
        run = Run(
            id=request.run,
            workflow_id=request.workflow_id,
            agent=spec.name,
            model=model.name,
            spec=spec.model_dump(mode="json"),
            task=task.text,
            parent_head=asked.head,
            conversation=asked.conversation,
            user=asked.user,
            parent=origin.parent if origin else None,
            team=team.workflow_id if team else None,
            member=seat.member if seat else None,
            task_id=seat.task or None if seat else None,
            seat=_kept(seat),
        )
        return await self._store.keep(run, task)

    async def _task(self, asked: AgentRequest, team: Run | None) -> str:
        """The whole task: of a child the request has only the beginning."""
        if asked.origin is not None and asked.origin.task is not None:
            return await self._quotes.argument(asked.origin.task)
        return team.task if team is not None else asked.task

    async def _settle(self, asked: AgentRequest, team: Run | None) -> AgentSpec:
        """The agent as the request asks for it."""
        seat = asked.origin.seat if asked.origin else None
        if team is not None and seat is not None:
            spec = _seated(spec_of(team), seat)
        else:
            spec = self._agents.named(asked.agent) if isinstance(asked.agent, str) else asked.agent
        own = spec.limits.over(DEFAULT_LIMITS)
        return spec.model_copy(
            update={
                "model": asked.model or spec.model,
                "limits": asked.limits.within(own) if asked.origin else asked.limits.over(own),
                "sandbox": _sandbox(spec.sandbox, asked.sandbox),
                "output_schema": asked.output_schema or spec.output_schema,
            }
        )

    def _plan(self, run: Run, origin: Origin | None) -> RunPlan:
        spec = AgentSpec.model_validate(run.spec)
        model = self._catalog.find(run.model)
        offered = offers(self._registry, spec, model.tools, seat_of(run))
        depth = origin.depth if origin else 0
        return RunPlan(
            run=run.id,
            agent=run.agent,
            model=run.model,
            limits=spec.limits,
            task=Entry(kind="task", id=_task_id(run.id)),
            task_preview=" ".join(run.task.split())[:_PREVIEW_CHARACTERS],
            executes=any(isinstance(each, Tool) and each.executes for each in offered.values()),
            most_children=self._max_children if depth < self._max_depth else 0,
            delegates=DELEGATE in offered,
        )


def _kept(seat: Seat | None) -> dict[str, Any] | None:
    """The seat without what only its first think needs."""
    if seat is None:
        return None
    return seat.model_dump(mode="json", exclude={"parcels", "needs", "unshown"})


def _seated(team: TeamSpec, seat: Seat) -> AgentSpec:
    """The agent of that seat, told about its team."""
    group = next(each for each in team.groups if each.kind == seat.kind)
    assert isinstance(group.agent, AgentSpec)  # `TeamOpening` has resolved it
    instructions = f"{group.agent.instructions.strip()}\n\n{brief(team, seat)}"
    return group.agent.model_copy(
        update={"instructions": instructions, "limits": group.limits, "model": group.model}
    )


def _sandbox(spec: SandboxSpec, kind: SandboxKind | None) -> SandboxSpec:
    return spec if kind is None else spec.model_copy(update={"kind": kind})


def check_budget(limits: Limits, model: Model) -> None:
    if limits.max_cost_usd is not None and not model.has_price:
        message = (
            f"The limit of ${limits.max_cost_usd} cannot be kept: nobody knows the price of model"
            f" '{model.name}'. Put `input_usd` and `output_usd` into models.toml, or limit tokens."
        )
        raise PerdureError(message)


def _task_id(run: str) -> str:
    return id_of("e", f"{run}:task")
