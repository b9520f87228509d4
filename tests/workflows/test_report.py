"""What Temporal's Web UI shows and finds."""

from typing import Any

from temporalio.common import SearchAttributeUpdate

from perdure.contracts import AgentRequest, AgentResult, Origin, RunState, RunStatus, Seat, Usage
from perdure.teams import overview
from perdure.teams.contracts import TeamRequest
from tests.console.crew import member, state, task
from workflows.report import found_by, team_found_by, team_markdown

STATE = RunState(
    status=RunStatus.RUNNING, agent="a", model="m", doing="", head=None, steps=3, usage=Usage()
)


def _values(updates: list[SearchAttributeUpdate[Any]]) -> dict[str, Any]:
    return {update.key.name: update.value for update in updates}


def test_a_member_is_found_by_its_team() -> None:
    """And a run that is nobody's, or was delegated to, by none."""
    seat = Seat(member="coder-1", kind="coder")
    in_team = AgentRequest(task="t", origin=Origin(parent="team-1", depth=1, seat=seat))
    delegated = AgentRequest(task="t", origin=Origin(parent="agent-1", depth=1))
    assert _values(found_by(STATE, in_team))["TeamId"] == "team-1"
    assert "TeamId" not in _values(found_by(STATE, delegated))
    assert "TeamId" not in _values(found_by(STATE, AgentRequest(task="t")))


def test_a_team_is_found_by_its_name_and_its_id() -> None:
    """And by who asked for it, and by what it has come to."""
    request = TeamRequest(goal="g", team="crew", user="u", conversation="c")
    crew = state(member("boss"), steps=5, usage=Usage(cost_usd=0.5))
    assert _values(team_found_by(crew, request, "team-1")) == {
        "AgentName": "crew",
        "AgentModel": "m",
        "AgentStatus": "running",
        "AgentSteps": 5,
        "AgentCostUsd": 0.5,
        "TeamId": "team-1",
        "UserId": "u",
        "ConversationId": "c",
    }


def test_the_details_of_a_team_tell_what_watch_tells() -> None:
    """Headline, goal, members and ledger, each fact from the same source."""
    crew = state(
        member("boss", "working"),
        member("coder-1", "working", "schema"),
        tasks=[task("schema", "running", "coder-1"), task("old", "done")],
        left="9 steps",
    )
    text = team_markdown(crew)
    lines = text.splitlines()
    assert lines[0] == "**running** — at work"
    assert overview.headline(crew) in lines
    assert "> The goal." in lines
    assert "| coder-1 | working | schema | 0 | 0 | $0.0000 |" in lines
    assert "**Tasks**: 1 running, 1 done" in lines
    assert "| schema | running | coder-1 | Do schema. |" in lines


def test_a_cell_stays_in_its_column() -> None:
    """Line breaks and bars in what a model wrote make no new cells or rows."""
    crew = state(member("boss"), tasks=[task("a", about="x | y\n| z \\| w")])
    row = next(line for line in team_markdown(crew).splitlines() if line.startswith("| a |"))
    assert row == r"| a | waiting | for coder | x \| y \| z \\\| w |"


def test_the_details_of_the_largest_team_stay_small() -> None:
    """500 members and 2,000 tasks with long texts in long characters: below 20 kB."""
    long = "𝄞" * 5000
    crew = state(
        *(member(f"{'m' * 36}-{n}", "out", "t" * 40, reason=long) for n in range(500)),
        tasks=[task(f"{'t' * 36}{n}", to="k" * 40, about=long) for n in range(2000)],
        goal=long,
        result=AgentResult(
            status=RunStatus.FAILED, answer=long, reason=long, head=None, steps=0, usage=Usage()
        ),
    )
    text = team_markdown(crew)
    assert len(text.encode()) < 20_000
    assert "460 more: 460 out" in text
    assert "1960 more: 1960 waiting" in text
