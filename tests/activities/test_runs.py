"""How a run begins and ends in the store, as activities."""

from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.runs import Runs
from perdure.agents import Agents
from perdure.contracts import (
    AgentRequest,
    AgentResult,
    CloseRun,
    OpenRun,
    RunStatus,
    Usage,
)
from perdure.model.catalog import Catalog
from perdure.opening import Opening
from perdure.store.store import Store
from perdure.tools.registry import Registry


@pytest_asyncio.fixture
async def runs(store: Store, tmp_path: Path) -> Runs:
    (tmp_path / "assistant.md").write_text("Help.")
    catalog = Catalog({}, tmp_path / "models.toml")
    return Runs(
        Opening(store, Agents([tmp_path]), catalog, Registry([]), max_depth=3, max_children=8),
        store,
    )


def _request(agent: str = "assistant") -> OpenRun:
    return OpenRun(run="run", workflow_id="w", request=AgentRequest(task="Do it.", agent=agent))


async def test_a_run_is_opened_and_closed(runs: Runs, store: Store) -> None:
    """Each may be repeated by a retry."""
    plan = await ActivityEnvironment().run(runs.open_run, _request())
    assert await ActivityEnvironment().run(runs.open_run, _request()) == plan
    result = AgentResult(status=RunStatus.COMPLETED, answer="42", head="t", steps=1, usage=Usage())
    for _ in range(2):
        await ActivityEnvironment().run(runs.close_run, CloseRun(run="run", result=result))
    assert AgentResult.model_validate((await store.run("run")).result) == result


async def test_what_cannot_be_settled_ends_the_run(runs: Runs) -> None:
    """No retry finds an agent that is not there."""
    with pytest.raises(ApplicationError, match="Agent 'none' is unknown") as caught:
        await ActivityEnvironment().run(runs.open_run, _request("none"))
    assert (caught.value.type, caught.value.non_retryable) == ("UnknownAgent", True)
