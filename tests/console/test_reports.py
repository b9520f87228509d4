"""What the commands print that only read the store."""

import json
from pathlib import Path

import pytest
import pytest_asyncio

from perdure.console.recorded import run_with_files
from perdure.console.reports import graph, list_runs, show, show_ended
from perdure.contracts import RunStatus
from perdure.settings import Settings
from perdure.store.migrate import migrate
from perdure.store.store import Store
from tests.console.crew import at, result, run_of, team_run
from tests.model.turns import make_call, make_run, make_turn


@pytest_asyncio.fixture
async def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with a run of one step that goes on from the third turn of another."""
    for name in ("TEMPORAL_ADDRESS", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings(home=tmp_path)
    store = await Store.open(settings.store_url)
    await migrate(store.engine)
    await store.keep(make_turn("t3", step=3, run_id="earlier"))
    run = make_run("run")
    run.parent_head = "t3"
    await store.keep(run)
    await store.keep(make_turn("t4", step=4, parent_id="t3"))
    await store.close()
    return settings


async def test_a_run_that_goes_on_counts_its_own_steps(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `files --step` and the run's result do."""
    assert await show(settings, "agent-run", as_json=False) == 0
    assert "step 1 · " in capsys.readouterr().out
    assert await show(settings, "agent-run", as_json=True) == 0
    transcript = json.loads(capsys.readouterr().out)["transcript"]
    assert [row["step"] for row in transcript] == [1]


@pytest_asyncio.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with a run that delegated, and with a team of which one task failed."""
    for name in ("TEMPORAL_ADDRESS", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings(home=tmp_path)
    store = await Store.open(settings.store_url)
    await migrate(store.engine)
    await _delegate(store)
    await _team_up(store)
    await store.close()
    return settings


async def _delegate(store: Store) -> None:
    parent, child = make_run("run"), make_run("child")
    parent.created_at, parent.ended_at, parent.result = at(10), at(14), result(answer="All done.")
    child.created_at, child.ended_at, child.result = at(12), at(13), result(answer="A part.")
    child.workflow_id, child.parent, child.task = "agent-run.1", "agent-run", "a part"
    price = {"cost_usd": 0.25}
    await store.add(
        parent,
        child,
        make_turn("t1", make_call("c", "delegate"), created_at=at(11), **price),
        make_turn("t2", run_id="child", thought="I work.", created_at=at(12), **price),
        make_turn("t3", parent_id="t1", step=2, created_at=at(14), **price),
    )


async def _team_up(store: Store) -> None:
    message = make_call("c", "send_message", '{"to": "coder-1", "text": "Hurry."}')
    failed = result(RunStatus.FAILED, reason="No key was set.")
    await store.add(
        team_run(),
        run_of("boss"),
        run_of("coder-1", minute=2, task_id="schema", result=failed, ended_at=at(3)),
        run_of("coder-2", minute=3, task_id="api"),
        make_turn("b1", message, thought="I plan.", run_id="boss-1", cost_usd=0.5),
        make_turn("w1", run_id="coder-1-1", cost_usd=0.5),
    )


async def test_the_files_of_a_team_are_its_leads(home: Settings) -> None:
    """Each member has its own; where all share one workspace they are the team's."""
    store = await Store.open(home.store_url)
    assert (await run_with_files(store, "team-t")).workflow_id == "team-t.boss.1"
    assert (await run_with_files(store, "team-t.coder-1.1")).workflow_id == "team-t.coder-1.1"
    shared = team_run(id="another", workflow_id="team-shared")
    shared.spec = shared.spec | {"shared_workspace": True}
    await store.keep(shared)
    assert (await run_with_files(store, "team-shared")).workflow_id == "team-shared"
    await store.close()


async def test_a_run_is_shown_with_the_runs_below_it(
    home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a tree between transcript and answer, and in JSON with their parent."""
    assert await show(home, "agent-run", as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "└── agent-run.1 · a · completed · 1 step · $0.2500 · a part" in lines
    assert await show(home, "agent-run", as_json=True) == 0
    (child,) = json.loads(capsys.readouterr().out)["below"]
    assert (child["id"], child["parent"], child["steps"]) == ("agent-run.1", "agent-run", 1)


async def test_a_run_that_has_ended_is_told_with_its_children(
    home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """A child's steps stand in their place, behind its number, between its beginning and end."""
    assert await show_ended(home, "agent-run", as_json=False) == 0
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    signs = ["→ delegate", "⤷ agent-run.1 begins · a: a part", ".1 │   I work.", "⤶ agent-run.1"]
    places = [next(n for n, line in enumerate(lines) if sign in line) for sign in signs]
    assert places == sorted(places)
    assert "agent-run.1 completed after 0 steps" in lines[places[-1]]
    assert sum("step 2 ·" in line for line in lines[places[-1] :]) == 1
    assert printed.out == "All done.\n"


async def test_a_team_is_shown_as_the_store_has_it(
    home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal, members, ledger, tree and the lead's last step, with no server to ask."""
    assert await show(home, "team-t", as_json=False) == 0
    out = capsys.readouterr().out
    for sign in (
        "team-t · crew on m · suspended",
        "goal: Goal.",
        "tasks: 1 running, 1 failed",
        "1 message sent",
        "No key was set.",
        "├── team-t.coder-1.1 · coder-1 (a) · failed · 1 step · $0.5000 · schema: task",
        "I plan.",
        "starter.py show team-t.boss.1",
    ):
        assert sign in out


async def test_a_program_is_told_of_a_team(
    home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Members, tasks, messages and the runs, in one object."""
    assert await show(home, "team-t", as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["status"] == "suspended"
    assert [each["name"] for each in shown["team"]["members"]] == ["boss", "coder-1", "coder-2"]
    assert [each["status"] for each in shown["team"]["tasks"]] == ["failed", "running"]
    assert shown["team"]["messages"] == {"boss>coder-1": 1}
    assert {each["member"] for each in shown["below"]} == {"boss", "coder-1", "coder-2"}


async def test_a_team_is_drawn_with_its_messages(
    home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Mermaid on standard output; as JSON what it was drawn from."""
    assert await graph(home, "team-t") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "flowchart TD"
    assert '  m0 -. "1" .-> m1' in lines
    assert any(line.endswith(":::failed") for line in lines)
    assert await graph(home, "team-t", as_json=True) == 0
    drawn = json.loads(capsys.readouterr().out)
    assert drawn["messages"] == {"boss>coder-1": 1}
    assert len(drawn["runs"]) == 3


async def test_only_tops_are_listed_with_what_their_trees_cost(
    home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """A team under its own name; everything on demand, each run with its parent."""
    assert await list_runs(home, None, 9, as_json=True) == 0
    tops = json.loads(capsys.readouterr().out)
    assert [(each["id"], each["agent"], each["steps"]) for each in tops] == [
        ("agent-run", "a", 3),
        ("team-t", "crew", 2),
    ]
    assert [each["usage"]["cost_usd"] for each in tops] == [0.75, 1.0]
    assert await list_runs(home, None, 9, as_json=False, everything=True) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["id", "parent", "status", "agent", "steps", "cost", "task"]
    assert any(line.split()[:2] == ["team-t.coder-1.1", "team-t"] for line in lines)
    assert len(lines) == 7


async def test_a_status_is_looked_for_among_all_tops(
    home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of the status, however many others are newer; children only on demand."""
    for everything, found in ((False, []), (True, ["team-t.coder-1.1"])):
        await list_runs(home, "failed", 1, as_json=True, everything=everything)
        assert [each["id"] for each in json.loads(capsys.readouterr().out)] == found


async def test_a_team_that_has_ended_is_summed_up(
    home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """What watch prints of it: three lines, how it ended, and the answer."""
    store = await Store.open(home.store_url)
    ended = team_run(id="r2", workflow_id="team-2", result=result(answer="Built."), ended_at=at(1))
    await store.add(ended)
    await store.close()
    assert await show_ended(home, "team-2", as_json=False) == 0
    printed = capsys.readouterr()
    assert printed.out == "Built.\n"
    assert "tasks: none" in printed.err
    assert await show_ended(home, "team-2", as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["answer"], told["team"]["goal"]) == ("Built.", "Goal.")
