"""What happens to a run and to those below it."""

from perdure.console.chronicle import Chronicle
from perdure.contracts import AgentResult
from perdure.store.store import Store
from perdure.store.tables import Run
from tests.console.crew import at, result
from tests.model.turns import make_run, make_turn


def _child(number: int, minute: int, **fields: object) -> Run:
    run = make_run(f"child-{number}")
    values = {"workflow_id": f"agent-run.{number}", "parent": "agent-run", "created_at": at(minute)}
    for name, value in (values | fields).items():
        setattr(run, name, value)
    return run


async def _news(chronicle: Chronicle) -> list[tuple[str, str]]:
    """Whose it is, and what."""
    kinds = {AgentResult: "end", type(None): "beginning"}
    return [
        (event.run.workflow_id, kinds.get(type(event.what)) or str(event.what.id))  # type: ignore[union-attr] # a row
        for event in await chronicle.news()
    ]


async def test_a_run_and_its_children_are_told_in_order(store: Store) -> None:
    """A child's beginning before its steps, its end after them, among its parent's steps."""
    await store.add(
        make_run("run"),
        make_turn("delegates", run_id="run", created_at=at(1)),
        _child(1, 2, result=result(), ended_at=at(4)),
        make_turn("works", run_id="child-1", created_at=at(3)),
        make_turn("goes on", run_id="run", created_at=at(5)),
    )
    assert await _news(Chronicle(store, "agent-run")) == [
        ("agent-run", "delegates"),
        ("agent-run.1", "beginning"),
        ("agent-run.1", "works"),
        ("agent-run.1", "end"),
        ("agent-run", "goes on"),
    ]


async def test_each_thing_is_told_once(store: Store) -> None:
    """However often one looks, and when a child begins and ends between looks."""
    chronicle = Chronicle(store, "agent-run")
    assert await _news(chronicle) == []
    await store.add(make_run("run"), _child(1, 1))
    assert await _news(chronicle) == [("agent-run.1", "beginning")]
    assert await _news(chronicle) == []
    await store.add(make_turn("works", run_id="child-1", created_at=at(2)))
    await store.end_run("child-1", AgentResult.model_validate(result()))
    assert await _news(chronicle) == [("agent-run.1", "works"), ("agent-run.1", "end")]
    assert await _news(chronicle) == []


async def test_a_row_that_was_stored_late_is_told(store: Store) -> None:
    """One is stamped before it is committed, so it may come behind another."""
    chronicle = Chronicle(store, "agent-run")
    await store.add(make_run("run"), make_turn("second", created_at=at(1)))
    await chronicle.news()
    await store.add(make_turn("first", created_at=at(1).replace(microsecond=0)))
    assert await _news(chronicle) == [("agent-run", "first")]
