"""How runs have ended, whichever worker recorded it."""

from perdure.contracts import AgentResult, RunStatus, Usage
from perdure.store.results import Results
from perdure.store.store import Store
from tests.model.turns import make_run

RESULT = AgentResult(
    status=RunStatus.COMPLETED, answer="42", head=None, steps=1, usage=Usage(cost_usd=None)
)


async def test_only_runs_that_have_ended_have_a_result(store: Store) -> None:
    """One that goes on, or that is unknown, has none."""
    for run in ("ended", "open", "other"):
        await store.keep(make_run(run))
    await store.end_run("ended", RESULT)
    await store.end_run("other", RESULT)
    assert await Results(store).of(["ended", "open", "unknown", "ended"]) == {"ended": RESULT}


async def test_a_result_that_another_worker_recorded_is_seen(
    store: Store, database_url: str
) -> None:
    """Though this one has the run in memory as it was before."""
    await store.keep(make_run("run"))
    assert (await store.run("run")).result is None
    other = await Store.open(database_url)
    await other.end_run("run", RESULT)
    await other.close()
    assert await Results(store).of(["run"]) == {"run": RESULT}
