"""The team that a command line asks for: ready-made, from a file, or put together from agents."""

from pathlib import Path

import pytest
import typer

from perdure.agents import Agents
from perdure.console.composition import Composition, changed
from perdure.contracts import AgentSpec
from perdure.errors import UnknownAgent, UnknownTeam
from perdure.teams.contracts import MemberGroup, Supervision, TeamSpec
from perdure.teams.files import Teams

CREW = "---\nlead: boss\nmembers: [{agent: coder, name: maker}]\n---\nAgree."


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with the agents boss and coder, and with the teams crew and software."""
    for name in ("boss", "coder"):
        (tmp_path / f"{name}.md").write_text(f"I am {name}.")
    (tmp_path / "teams").mkdir()
    for name in ("crew", "software"):
        (tmp_path / "teams" / f"{name}.md").write_text(CREW)
    return tmp_path


def _composition(here: Path, *, elsewhere: bool = False) -> Composition:
    return Composition(Teams([here / "teams"]), Agents([here]), elsewhere=elsewhere)


def _agents(team: TeamSpec | str) -> dict[str, str]:
    """By kind: the instructions of an agent that is given inline, or its name."""
    assert isinstance(team, TeamSpec)
    return {
        group.kind: group.agent if isinstance(group.agent, str) else group.agent.instructions
        for group in (team.lead, *team.members)
    }


def test_without_any_wish_it_is_the_team_for_software(here: Path) -> None:
    """One that is named is that one."""
    composition = _composition(here)
    for name, found in ((None, "software"), ("crew", "crew")):
        team = composition.team(name, None, ())
        assert isinstance(team, TeamSpec)
        assert (team.name, team.instructions) == (found, "Agree.")


def test_the_agents_of_a_team_are_those_that_are_known_here(here: Path) -> None:
    """Workers need not know them; the kinds stay what the file calls them."""
    team = _composition(here).team("crew", None, ())
    assert _agents(team) == {"boss": "I am boss.", "maker": "I am coder."}


def test_a_team_is_put_together_from_agents(here: Path) -> None:
    """In the order of the command line, each with its count and its model."""
    team = _composition(here).team(None, "boss@gpt-5", ["coder:2@gpt-5-mini"])
    assert isinstance(team, TeamSpec)
    assert (team.name, team.lead.model) == ("team", "gpt-5")
    assert [(each.names, each.model) for each in team.members] == [
        (("coder-1", "coder-2"), "gpt-5-mini")
    ]
    assert _agents(team) == {"boss": "I am boss.", "coder": "I am coder."}


def test_an_agent_may_be_a_file(here: Path, tmp_path: Path) -> None:
    """Its kind is its name then."""
    file = tmp_path / "own.md"
    file.write_text("Mine.")
    team = _composition(here).team(None, "boss", [f"{file}:3"])
    assert _agents(team) == {"boss": "I am boss.", "own": "Mine."}


def test_other_workers_may_know_more(here: Path) -> None:
    """An unknown name goes to them as it is; an unknown file does not."""
    composition = _composition(here, elsewhere=True)
    assert composition.team("theirs", None, ()) == "theirs"
    assert _agents(composition.team(None, "boss", ["theirs"]))["theirs"] == "theirs"
    with pytest.raises(UnknownTeam):
        composition.team("none.md", None, ())


def test_what_nobody_knows_is_refused(here: Path) -> None:
    """With the known names."""
    with pytest.raises(UnknownTeam, match="Did you mean 'crew'?"):
        _composition(here).team("crow", None, ())
    with pytest.raises(UnknownAgent, match="Did you mean 'coder'?"):
        _composition(here).team(None, "boss", ["codr"])


@pytest.mark.parametrize(
    ("name", "lead", "members", "words"),
    [
        ("crew", "boss", ["coder"], "--team names a whole team"),
        ("crew", None, ["coder"], "--team names a whole team"),
        (None, "boss", [], "has a lead and members. Give both"),
        (None, None, ["coder"], "has a lead and members. Give both"),
        (None, "boss", ["coder:x"], "--member 'coder:x' cannot be used: 'coder:x' is not NAME"),
        (None, "boss", ["coder:0"], "--member 'coder:0' cannot be used: count: "),
        (None, "boss", ["coder:501"], "--member 'coder:501' cannot be used: count: "),
        (None, "boss:2", ["coder"], "makes no team: a team has one lead, and 'boss' is 2."),
        (None, "boss", ["coder", "coder:2"], "makes no team: two members or groups are called"),
        (None, "boss", ["boss"], "makes no team: two members or groups are called 'boss'"),
    ],
)
def test_what_makes_no_team_is_told_in_a_sentence(
    here: Path, name: str | None, lead: str | None, members: list[str], words: str
) -> None:
    """It names the option and its value, or what is wrong with all of them together."""
    with pytest.raises(typer.BadParameter) as caught:
        _composition(here).team(name, lead, members)
    assert words in str(caught.value)
    assert str(caught.value).endswith(".")


def _team(*, shared: bool = False) -> TeamSpec:
    group = MemberGroup(agent=AgentSpec(name="a"))
    rules = Supervision(strategy="rest_for_one", max_restarts=7, within_minutes=5)
    return TeamSpec(
        name="duo",
        lead=group.model_copy(update={"name": "b"}),
        members=(group,),
        supervision=rules,
        shared_workspace=shared,
    )


def test_the_command_line_comes_before_the_team() -> None:
    """What it leaves open stays as the team has it."""
    team = changed(_team(), strategy="one_for_all", max_restarts=None, shared=True)
    assert isinstance(team, TeamSpec)
    rules = Supervision(strategy="one_for_all", max_restarts=7, within_minutes=5)
    assert (team.supervision, team.shared_workspace) == (rules, True)
    again = changed(_team(shared=True), strategy=None, max_restarts=0, shared=False)
    assert isinstance(again, TeamSpec)
    assert (again.supervision.max_restarts, again.shared_workspace) == (0, True)


def test_a_team_that_is_only_known_elsewhere_cannot_be_changed() -> None:
    """It is the workers' own; without a wish its name is all that they need."""
    assert changed("theirs", strategy=None, max_restarts=None, shared=False) == "theirs"
    with pytest.raises(typer.BadParameter, match="Team 'theirs' is not known here"):
        changed("theirs", strategy=None, max_restarts=None, shared=True)


def test_wrong_rules_of_supervision_are_refused() -> None:
    """With the field and what it may be."""
    with pytest.raises(typer.BadParameter, match="strategy cannot be 'all': Input should be"):
        changed(_team(), strategy="all", max_restarts=None, shared=False)
