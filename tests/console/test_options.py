"""What the options of a command mean: the ids of runs and teams."""

import pytest
import typer

from perdure.console.options import AGENT, TEAM, new_id, run_id


@pytest.mark.parametrize("prefix", [AGENT, TEAM])
def test_an_id_is_random_unless_one_is_asked_for(prefix: str) -> None:
    """It says whether it is a run's or a team's, in whichever form it was given."""
    first, second = new_id(None, prefix), new_id(None, prefix)
    assert first != second
    assert first.startswith(prefix)
    assert new_id("mine", prefix) == new_id(f"{prefix}mine", prefix) == f"{prefix}mine"


def test_a_run_is_found_by_its_id_with_or_without_prefix() -> None:
    """A team and the runs of its members need it."""
    assert run_id("mine") == run_id("agent-mine") == "agent-mine"
    assert run_id("team-x") == "team-x"
    assert run_id("team-x.coder-1.3") == "team-x.coder-1.3"


def test_the_runs_of_the_longest_id_can_be_named() -> None:
    """A child's id adds to its parent's; new ids leave room for that."""
    longest = new_id("a" * 100, TEAM)
    assert run_id(f"{longest}.{'b' * 40}-100.1000.1.1").startswith(longest)
    with pytest.raises(typer.BadParameter, match="at most 100"):
        new_id("a" * 101, TEAM)


@pytest.mark.parametrize(
    ("text", "prefix", "words"),
    [
        ("team-x", AGENT, "must begin with 'agent-'"),
        ("agent-x", TEAM, "must begin with 'team-'"),
        ("a.b", TEAM, "cannot be a team's"),
        ("a/b", TEAM, "'a/b' cannot be used"),
        ("", AGENT, "'' cannot be used"),
    ],
)
def test_an_id_that_would_mislead_is_refused(text: str, prefix: str, words: str) -> None:
    """An id tells a run, a team and a member's run apart."""
    with pytest.raises(typer.BadParameter) as caught:
        new_id(text, prefix)
    assert words in str(caught.value)
