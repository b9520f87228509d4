"""What the options of a command mean: the ids of runs and teams."""

from pathlib import Path

import pytest
import typer

from perdure.console.options import AGENT, TEAM, new_id, run_id
from perdure.settings import Settings
from perdure.store.migrate import migrate
from perdure.store.store import Store
from tests.console.crew import run_of, team_run
from tests.model.turns import make_run


@pytest.mark.parametrize("prefix", [AGENT, TEAM])
def test_an_id_is_random_unless_one_is_asked_for(prefix: str) -> None:
    """It says whether it is a run's or a team's, in whichever form it was given."""
    first, second = new_id(None, prefix), new_id(None, prefix)
    assert first != second
    assert first.startswith(prefix)
    assert new_id("mine", prefix) == new_id(f"{prefix}mine", prefix) == f"{prefix}mine"


@pytest.mark.parametrize(
    ("text", "id"),
    [
        *[("agent-x", "agent-x"), ("team-x", "team-x"), ("team-x.c-1.3", "team-x.c-1.3")],
        *[("run", "agent-run"), ("t", "team-t"), ("t.boss.1", "team-t.boss.1")],
        *[("job-7", "job-7"), ("unknown", "agent-unknown")],
    ],
)
async def test_a_run_is_found_with_or_without_prefix(tmp_path: Path, text: str, id: str) -> None:
    """A service may have given it an id without any; one that is unknown is an agent's."""
    settings = Settings(home=tmp_path)
    store = await Store.open(settings.store_url)
    await migrate(store.engine)
    other = make_run("other")
    other.workflow_id = "job-7"
    await store.add(make_run("run"), team_run(), run_of("boss"), other)
    await store.close()
    assert await run_id(settings, text) == id


async def test_the_runs_of_the_longest_id_can_be_named(tmp_path: Path) -> None:
    """A child's id adds to its parent's; new ids leave room for that."""
    longest = new_id("a" * 100, TEAM)
    child = f"{longest}.{'b' * 40}-100.1000.1.1"
    assert await run_id(Settings(home=tmp_path), child) == child
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
