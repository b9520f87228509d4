"""Teams in files: found by name, and refused with a sentence when they say nonsense."""

from pathlib import Path

import pytest

from perdure.agents import Agents
from perdure.contracts import Limits
from perdure.errors import UnknownTeam
from perdure.teams.contracts import MemberGroup, Supervision
from perdure.teams.files import Teams

ROOT = Path(__file__).parent.parent.parent
CREW = """---
description: Builds things.
lead: architect@gpt-5
members:
  - coder:5@gpt-5-mini
  - agent: researcher
    name: checker
    limits: {max_steps: 9}
limits: {max_cost_usd: 2.5}
lead_share: 0.1
supervision: {strategy: rest_for_one, max_restarts: 1}
shared_workspace: true
---
Agree on names first.
"""


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.md"
    path.write_text(text)
    return path


def test_a_team_is_front_matter_and_instructions(tmp_path: Path) -> None:
    """The file's name is the team's, and the text below is for all of its members."""
    _write(tmp_path, "crew", CREW)
    crew = Teams([tmp_path]).load("crew")
    assert (crew.name, crew.instructions) == ("crew", "Agree on names first.")
    assert crew.lead == MemberGroup(agent="architect", model="gpt-5")
    assert crew.members == (
        MemberGroup(agent="coder", count=5, model="gpt-5-mini"),
        MemberGroup(agent="researcher", name="checker", limits=Limits(max_steps=9)),
    )
    assert (crew.limits, crew.lead_share) == (Limits(max_cost_usd=2.5), 0.1)
    assert crew.supervision == Supervision(strategy="rest_for_one", max_restarts=1)
    assert crew.shared_workspace


def test_a_team_needs_only_a_lead_and_members(tmp_path: Path) -> None:
    """The rest has its defaults; a name that ends in .md is a path."""
    path = _write(tmp_path, "pair", "---\nlead: a\nmembers: [b]\n---\n")
    pair = Teams([]).load(str(path))
    assert (pair.name, pair.instructions, pair.supervision) == ("pair", "", Supervision())


def test_the_ready_made_teams_are_sound() -> None:
    """Each says what it is for, and all of its agents are ready-made ones."""
    agents = Agents([ROOT / "agents"])
    teams = Teams([ROOT / "teams"]).all()
    assert {"software", "research"} <= {team.name for team in teams}
    for team in teams:
        assert team.description
        for group in (team.lead, *team.members):
            assert isinstance(group.agent, str)
            assert agents.load(group.agent).description


def test_an_unknown_name_is_told_with_the_known_ones(tmp_path: Path) -> None:
    """And with the one that was probably meant."""
    _write(tmp_path, "crew", CREW)
    with pytest.raises(UnknownTeam) as caught:
        Teams([tmp_path]).load("crow")
    told = "Team 'crow' is unknown. Did you mean 'crew'? Known teams: crew."
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("lead: a", "says something wrong: members: Field required."),
        ("lead: a\nmembers: b", "says something wrong: members: Input should be a valid tuple."),
        ("lead: a\nmembers: [b:x]", "says something wrong: members.0: 'b:x' is not NAME, "),
        ("lead: a\nmembers: [b:0]", "says something wrong: members.0.count: "),
        ("lead: a:2\nmembers: [b]", "says something wrong: a team has one lead, and 'a' is 2."),
        ("lead: a\nmembers: [b, b]", "says something wrong: two members or groups are called 'b'"),
        (
            "lead: a\nmembers: ['b:2', b-1]",
            "says something wrong: two members or groups are called 'b-1'",
        ),
        ("lead: a\nmembers: [b]\nled: c", "says something wrong: led: Extra inputs"),
        (
            "lead: a\nmembers: [b]\nsupervision: {strategy: all}",
            "says something wrong: supervision.strategy: ",
        ),
        ("lead: [a", "cannot be understood: "),
    ],
)
def test_a_file_that_says_nonsense_is_named(tmp_path: Path, fields: str, problem: str) -> None:
    """With the field and the reason, on one line."""
    path = _write(tmp_path, "bad", f"---\n{fields}\n---\n")
    with pytest.raises(UnknownTeam) as caught:
        Teams([tmp_path]).load("bad")
    assert f"Team file {path} {problem}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """As an agent's is."""
    path = tmp_path / "none.md"
    with pytest.raises(UnknownTeam, match=f"Team file {path} cannot be read: No such file"):
        Teams([]).load(str(path))
