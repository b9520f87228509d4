"""A team as the store has it, and with what it spends now."""

from collections.abc import Sequence

from perdure.console.recorded import recorded, with_record, with_spending
from perdure.contracts import AgentResult, RunStatus, Usage
from perdure.store.family import Family
from perdure.store.store import RunSummary, Store
from perdure.store.tables import Run
from tests.console.crew import member, result, run_of, spent, state, team_run
from tests.model.turns import make_run, make_turn


def _summaries(*runs: Run) -> Sequence[RunSummary]:
    """Newest first, each of three steps for 100 tokens and half a dollar."""
    usage = Usage(input_tokens=100, cost_usd=0.5)
    return [RunSummary(run, 3, usage, f"head of {run.id}") for run in reversed(runs)]


def _delegated(id: str, parent: Run) -> Run:
    run = make_run(id)
    run.workflow_id, run.parent = f"{parent.workflow_id}.1", parent.workflow_id
    return run


def test_members_are_those_of_the_spec() -> None:
    """Each as its last run stands; one that never worked is free."""
    boss, ended = run_of("boss"), run_of("coder-1", task_id="a", result=result())
    works = run_of("coder-1", 2, minute=2, task_id="b")
    seen = recorded(team_run(), _summaries(boss, ended, works), {}).members
    assert [(each.name, each.standing, each.task, each.runs) for each in seen] == [
        ("boss", "working", "", 1),
        ("coder-1", "working", "b", 2),
        ("coder-2", "free", "", 0),
    ]
    assert [each.spent.steps for each in seen] == [3, 6, 0]


def test_tasks_are_known_by_their_last_runs() -> None:
    """Done, failed, cancelled or still worked on; the outcome is the answer or the reason."""
    runs = [
        run_of("coder-1", 1, task_id="a", result=result(RunStatus.FAILED, reason="No key.")),
        run_of("coder-2", 1, minute=2, task_id="a", result=result(answer="Made.")),
        run_of("coder-1", 2, minute=3, task_id="b", result=result(RunStatus.STUCK, reason="Lost.")),
        run_of("coder-1", 3, minute=4, task_id="c", result=result(RunStatus.CANCELLED)),
        run_of("coder-1", 4, minute=5, task_id="d"),
    ]
    tasks = recorded(team_run(), _summaries(run_of("boss"), *runs), {}).tasks
    assert [(each.id, each.status, each.member, each.outcome) for each in tasks] == [
        ("a", "done", "coder-2", "Made."),
        ("b", "failed", "coder-1", "Lost."),
        ("c", "cancelled", "coder-1", ""),
        ("d", "running", "coder-1", ""),
    ]


def test_a_team_is_the_sum_of_its_runs() -> None:
    """With those that members delegated to, which count as the member's."""
    boss, coder = run_of("boss"), run_of("coder-1", task_id="a")
    team = team_run(result=result(answer="Whole."))
    seen = recorded(team, _summaries(boss, coder, _delegated("x", coder)), {"boss>coder-1": 2})
    assert (seen.steps, seen.usage.tokens, seen.usage.cost_usd) == (9, 300, 1.5)
    assert [each.spent.steps for each in seen.members] == [3, 6, 0]
    assert (seen.status, seen.goal, seen.messages) == ("completed", "Goal.", {"boss>coder-1": 2})
    assert seen.head == "head of boss-1"
    assert seen.result is not None
    assert seen.result.answer == "Whole."


async def test_the_present_run_is_counted_as_the_store_has_it(store: Store) -> None:
    """With what it delegated, on top of the runs that have ended, which the team has settled."""
    first, second = run_of("coder-1", 1), run_of("coder-1", 2, minute=2)
    runs = (first, second, _delegated("x", second))
    turns = [make_turn(f"of {run.id}", run_id=run.id, cost_usd=0.5) for run in runs]
    await store.add(*runs, *turns)
    crew = state(
        member("boss", settled=spent(4), spent=spent(4)),
        member(
            "coder-1",
            "working",
            workflow_id=second.workflow_id,
            settled=spent(10, 1000, 2.0),
            spent=spent(10, 1000, 2.0),
        ),
    )
    seen = await with_spending(crew, Family(store))
    assert [each.spent.steps for each in seen.members] == [4, 12]
    tokens = 1000 + sum(turn.input_tokens + turn.output_tokens for turn in turns[1:])
    assert (seen.steps, seen.usage.tokens, seen.usage.cost_usd) == (16, tokens, 3.0)


async def test_a_run_that_has_ended_is_not_counted_twice(store: Store) -> None:
    """Its member's last run is settled once the member is free."""
    run = run_of("coder-1", result=result())
    await store.add(run, make_turn("t1", run_id=run.id))
    free = member("coder-1", workflow_id=run.workflow_id, settled=spent(3), spent=spent(3))
    assert (await with_spending(state(free), Family(store))).steps == 3


async def test_what_was_cut_short_is_told_by_the_store(store: Store) -> None:
    """Temporal only says that it ended; a result of the run's own stays as it is."""
    run = run_of("coder-1")
    below = _delegated("x", run)
    await store.add(run, below, make_turn("t1", run_id=run.id), make_turn("t2", run_id=below.id))
    lost = AgentResult.of_nothing(RunStatus.FAILED, "The run was terminated.")
    seen = await with_record(lost, store, run.workflow_id)
    assert (seen.status, seen.head, seen.steps) == (RunStatus.FAILED, "t1", 2)
    assert await with_record(lost, store, "unknown") == lost
    for said in ({"steps": 1}, {"head": "its last words, which are no step"}):
        own = lost.model_copy(update=said)
        assert await with_record(own, store, run.workflow_id) == own


async def test_a_team_that_was_cut_short_goes_on_from_its_lead(store: Store) -> None:
    """As one that has ended by itself: its own run takes no turns."""
    team, lead, coder = team_run(), run_of("boss"), run_of("coder-1", minute=2)
    turns = [make_turn("t1", run_id=lead.id), make_turn("t2", run_id=coder.id)]
    await store.add(team, lead, coder, *turns)
    lost = AgentResult.of_nothing(RunStatus.FAILED, "The run was terminated.")
    seen = await with_record(lost, store, team.workflow_id)
    assert (seen.head, seen.steps) == ("t1", 2)
