"""How a run is opened: its agent, model, tools and limits are settled once and recorded."""

from perdure.agents import Agents
from perdure.contracts import (
    AgentSpec,
    Entry,
    Limits,
    OpenRun,
    RunPlan,
    SandboxKind,
    SandboxSpec,
)
from perdure.errors import PerdureError, UnknownAgent
from perdure.model.catalog import Catalog, Model
from perdure.plain_text import storable
from perdure.store.store import Store
from perdure.store.tables import Run, StoredEntry, id_of
from perdure.tools.offer import offers
from perdure.tools.registry import Registry
from perdure.tools.tool import Tool

DEFAULT_LIMITS = Limits(max_steps=50)
_PREVIEW_CHARACTERS = 200


class Opening:
    """Opens runs. Opening one twice gives the plan of the first time."""

    def __init__(self, store: Store, agents: Agents, catalog: Catalog, registry: Registry) -> None:
        self._store = store
        self._agents = agents
        self._catalog = catalog
        self._registry = registry

    async def open(self, request: OpenRun) -> RunPlan:
        """Record the run and its task; raises a PerdureError for what cannot be settled."""
        recorded = await self._store.find(request.run)
        return self._plan(recorded or await self._record(request))

    async def _record(self, request: OpenRun) -> Run:
        spec = self._settle(request)
        model = self._catalog.find(spec.model or self._catalog.default)
        offers(self._registry, spec, model.tools)
        _check_budget(spec.limits, model)
        asked = request.request
        if asked.head is not None:
            await self._store.path(asked.head)
        task = StoredEntry(
            id=_task_id(request.run),
            run_id=request.run,
            kind="task",
            text=storable(asked.task),
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
        )
        return await self._store.keep(run, task)

    def _settle(self, request: OpenRun) -> AgentSpec:
        """The agent as the request asks for it."""
        asked = request.request
        spec = self._named(asked.agent) if isinstance(asked.agent, str) else asked.agent
        return spec.model_copy(
            update={
                "model": asked.model or spec.model,
                "limits": asked.limits.over(spec.limits).over(DEFAULT_LIMITS),
                "sandbox": _sandbox(spec.sandbox, asked.sandbox),
                "output_schema": asked.output_schema or spec.output_schema,
            }
        )

    def _plan(self, run: Run) -> RunPlan:
        spec = AgentSpec.model_validate(run.spec)
        offered = offers(self._registry, spec, self._catalog.find(run.model).tools)
        return RunPlan(
            run=run.id,
            agent=run.agent,
            model=run.model,
            limits=spec.limits,
            task=Entry(kind="task", id=_task_id(run.id)),
            task_preview=" ".join(run.task.split())[:_PREVIEW_CHARACTERS],
            executes=any(isinstance(each, Tool) and each.executes for each in offered.values()),
        )

    def _named(self, name: str) -> AgentSpec:
        if name.endswith(".md"):  # a path on whichever machine: only the command line reads those
            message = f"Agent '{name}' is a file. Send its contents as an inline spec, or its name."
            raise UnknownAgent(message)
        return self._agents.load(name)


def _sandbox(spec: SandboxSpec, kind: SandboxKind | None) -> SandboxSpec:
    return spec if kind is None else spec.model_copy(update={"kind": kind})


def _check_budget(limits: Limits, model: Model) -> None:
    if limits.max_cost_usd is not None and not model.has_price:
        message = (
            f"The limit of ${limits.max_cost_usd} cannot be kept: nobody knows the price of model"
            f" '{model.name}'. Put `input_usd` and `output_usd` into models.toml, or limit tokens."
        )
        raise PerdureError(message)


def _task_id(run: str) -> str:
    return id_of("e", f"{run}:task")
