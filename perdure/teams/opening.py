"""How a team is opened: who is in it, with which agents, models and limits, is settled once."""

from contextlib import suppress

from perdure.agents import Agents
from perdure.contracts import AgentSpec, Limits, SandboxKind, SandboxSpec, Seat
from perdure.errors import PerdureError, UnknownRun
from perdure.model.catalog import Catalog
from perdure.opening import DEFAULT_LIMITS, check_budget
from perdure.store.store import Store
from perdure.store.tables import Run
from perdure.teams.contracts import (
    MemberGroup,
    MemberPlan,
    OpenTeam,
    TeamPlan,
    TeamRequest,
    TeamSpec,
)
from perdure.teams.files import Teams
from perdure.teams.record import spec_of
from perdure.tools.offer import offers
from perdure.tools.registry import Offer, Registry
from perdure.tools.tool import Tool

DEFAULT_TEAM_LIMITS = Limits(max_steps=1000)
_GOAL_CHARACTERS = 200


class TeamOpening:
    """Opens teams. Opening one twice gives the plan of the first time."""

    def __init__(
        self, store: Store, agents: Agents, teams: Teams, catalog: Catalog, registry: Registry
    ) -> None:
        self._store = store
        self._agents = agents
        self._teams = teams
        self._catalog = catalog
        self._registry = registry

    async def open(self, request: OpenTeam) -> TeamPlan:
        """Record the team and its goal; raises a PerdureError for what cannot be settled."""
        recorded = await self._store.find(request.run)
        return self._plan(recorded or await self._record(request))

    async def _record(self, request: OpenTeam) -> Run:
        asked = request.request
        await self._check_id(request.workflow_id)
        spec = self._settle(asked)
        for group in spec.groups:
            self._check(group, spec)
        if asked.head is not None:
            await self._store.path(asked.head)
        return await self._store.keep(
            Run(
                id=request.run,
                workflow_id=request.workflow_id,
                agent=spec.name,
                model=str(spec.lead.model),
                # Beside the team's own fields what its shared workspace needs.
                spec=spec.model_dump(mode="json") | {"sandbox": _commons(spec)},
                task=asked.goal,
                parent_head=asked.head,
                conversation=asked.conversation,
                user=asked.user,
            )
        )

    async def _check_id(self, id: str) -> None:
        """Members' runs, notes and files are found by their team's id: no other team may bear it.

        Raises:
            PerdureError: the id has been used before.
        """
        with suppress(UnknownRun):
            await self._store.find_run(id)
            message = (
                f"The id '{id}' has been another team's, whose members may still be at work."
                " Start this one under another id; `head` goes on where the other one's lead ended."
            )
            raise PerdureError(message)

    def _settle(self, asked: TeamRequest) -> TeamSpec:
        """The team as the request asks for it, with each agent written out."""
        spec = self._teams.named(asked.team) if isinstance(asked.team, str) else asked.team
        return spec.model_copy(
            update={
                "lead": self._resolved(spec.lead, asked),
                "members": tuple(self._resolved(group, asked) for group in spec.members),
                "limits": asked.limits.over(spec.limits).over(DEFAULT_TEAM_LIMITS),
            }
        )

    def _resolved(self, group: MemberGroup, asked: TeamRequest) -> MemberGroup:
        agent = self._agents.named(group.agent) if isinstance(group.agent, str) else group.agent
        sandbox = agent.sandbox.model_copy(
            update={"kind": asked.sandbox} if asked.sandbox is not None else {}
        )
        model = self._catalog.find(
            group.model or asked.model or agent.model or self._catalog.default
        )
        return group.model_copy(
            update={
                "name": group.kind,
                "agent": agent.model_copy(update={"sandbox": sandbox}),
                "model": model.name,
                "limits": group.limits.over(agent.limits).over(DEFAULT_LIMITS),
            }
        )

    def _check(self, group: MemberGroup, team: TeamSpec) -> None:
        check_budget(group.limits.within(team.limits), self._catalog.find(str(group.model)))
        self._offered(group, team)

    def _offered(self, group: MemberGroup, team: TeamSpec) -> dict[str, Offer]:
        seat = Seat(member=group.names[0], kind=group.kind, is_lead=group.kind == team.lead.kind)
        tools = self._catalog.find(str(group.model)).tools
        return offers(self._registry, _agent(group), tools, seat)

    def _plan(self, run: Run) -> TeamPlan:
        spec = spec_of(run)
        (lead,) = _members(spec.lead)
        return TeamPlan(
            run=run.id,
            team=spec.name,
            goal=" ".join(run.task.split())[:_GOAL_CHARACTERS],
            lead=lead,
            members=tuple(each for group in spec.members for each in _members(group)),
            limits=spec.limits,
            lead_share=spec.lead_share,
            supervision=spec.supervision,
            shared_workspace=spec.shared_workspace,
            executes=any(
                isinstance(each, Tool) and each.executes
                for group in spec.groups
                for each in self._offered(group, spec).values()
            ),
        )


def _agent(group: MemberGroup) -> AgentSpec:
    assert isinstance(group.agent, AgentSpec)  # resolved
    return group.agent


def _members(group: MemberGroup) -> list[MemberPlan]:
    return [
        MemberPlan(
            name=name,
            kind=group.kind,
            model=str(group.model),
            limits=group.limits,
        )
        for name in group.names
    ]


def _commons(spec: TeamSpec) -> dict[str, object]:
    """The largest of what the members' sandboxes may use."""
    needs = [_agent(group).sandbox for group in spec.groups]
    largest = {
        field: max(getattr(each, field) for each in needs)
        for field in (
            "network",
            "memory_mb",
            "cpus",
            "processes",
            "disk_mb",
            "seconds",
            "output_bytes",
        )
    }
    given = {"kind": _first(needs, "kind"), "image": _first(needs, "image")}
    return SandboxSpec.model_validate(largest | given).model_dump(mode="json")


def _first(needs: list[SandboxSpec], field: str) -> str | SandboxKind | None:
    return next((getattr(each, field) for each in needs if getattr(each, field)), None)
