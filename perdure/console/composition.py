"""The team that a command line asks for: from a file, or put together from agents."""

from collections.abc import Sequence
from typing import Any

import typer
from pydantic import TypeAdapter, ValidationError

from perdure.agents import Agents
from perdure.console import options
from perdure.errors import UnknownTeam
from perdure.front_matter import problems
from perdure.teams.contracts import Group, MemberGroup, TeamSpec
from perdure.teams.files import Teams

DEFAULT = "software"
_GROUP: TypeAdapter[MemberGroup] = TypeAdapter(Group)


class Composition:
    """Puts teams together from the teams and agents that are known here.

    `elsewhere` says that workers on other machines may know more: an unknown name stays a name.
    """

    def __init__(self, teams: Teams, agents: Agents, *, elsewhere: bool) -> None:
        self._teams = teams
        self._agents = agents
        self._elsewhere = elsewhere

    def team(self, name: str | None, lead: str | None, members: Sequence[str]) -> TeamSpec | str:
        """The team of that name or file, or one of these agents; else the default one."""
        if lead is None and not members:
            return self._ready_made(name or DEFAULT)
        if name is not None:
            message = (
                "--team names a whole team, and --lead and --member make one."
                " Give one or the other."
            )
            raise typer.BadParameter(message)
        if lead is None or not members:
            message = (
                "A team has a lead and members. Give both, such as"
                " --lead architect --member developer:2."
            )
            raise typer.BadParameter(message)
        fields = {
            "name": "team",
            "lead": self._group("--lead", lead),
            "members": [self._group("--member", each) for each in members],
        }
        return _team(fields)

    def _ready_made(self, name: str) -> TeamSpec | str:
        try:
            team = self._teams.load(name)
        except UnknownTeam:
            if self._elsewhere and not name.endswith(".md"):
                return name
            raise
        members = tuple(self._resolved(group) for group in team.members)
        return team.model_copy(update={"lead": self._resolved(team.lead), "members": members})

    def _group(self, option: str, text: str) -> MemberGroup:
        try:
            return self._resolved(_GROUP.validate_python(text))
        except ValidationError as error:
            message = f"{option} {text!r} cannot be used: {problems(error)}."
            raise typer.BadParameter(message) from None

    def _resolved(self, group: MemberGroup) -> MemberGroup:
        """With the agent as it is defined here, and the kind that its name has made."""
        if not isinstance(group.agent, str):
            return group
        agent = options.agent_spec(self._agents, group.agent, elsewhere=self._elsewhere)
        kind = group.name if group.agent.endswith(".md") else group.kind
        return group.model_copy(update={"agent": agent, "name": kind})


def changed(
    team: TeamSpec | str, *, strategy: str | None, max_restarts: int | None, shared: bool
) -> TeamSpec | str:
    """The team with what the command line says of how it works."""
    given = {"strategy": strategy, "max_restarts": max_restarts}
    rules = {name: value for name, value in given.items() if value is not None}
    if not rules and not shared:
        return team
    if isinstance(team, str):
        message = (
            f"Team '{team}' is not known here, so its supervision and its workspace cannot be"
            " changed. Give its file to --team."
        )
        raise typer.BadParameter(message)
    supervision = options.supervision(**{**team.supervision.model_dump(), **rules})
    own = {"supervision": supervision, "shared_workspace": shared or team.shared_workspace}
    return team.model_copy(update=own)


def _team(fields: dict[str, Any]) -> TeamSpec:
    try:
        return TeamSpec.model_validate(fields)
    except ValidationError as error:
        raise typer.BadParameter(f"This makes no team: {problems(error)}.") from None
