"""How a think ends as an activity: its decision, a retry, or the end of the run."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.testing import ActivityEnvironment

from activities.think import Think
from perdure.contracts import AgentSpec, Entry, ThinkInput
from perdure.model.catalog import Catalog
from perdure.model.client import Models
from perdure.model.thinker import Thinker
from perdure.store.store import Store
from perdure.store.tables import Run
from perdure.testing import replies
from perdure.testing.scripted_model import ScriptedModel
from perdure.tools.registry import Registry

REQUEST = ThinkInput(run="run", key="k", head=None, entries=(Entry(kind="task", text="Do it."),))


@pytest_asyncio.fixture
async def think(
    store: Store, scripted_model: ScriptedModel, tmp_path: Path
) -> AsyncIterator[Think]:
    spec = AgentSpec(name="a").model_dump(mode="json")
    run = Run(id="run", workflow_id="w", agent="a", model="scripted", spec=spec, task="Do it.")
    await store.keep(run)

    async def no_local_model() -> str:
        raise AssertionError("no test here asks the local model")

    catalog = Catalog({"OPENAI_BASE_URL": scripted_model.url}, tmp_path / "models.toml")
    models = Models(catalog, no_local_model)
    yield Think(Thinker(store, models, Registry([])))
    await models.close()


async def _failure(think: Think) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        await ActivityEnvironment().run(think.think, REQUEST)
    return caught.value


async def test_a_retried_think_returns_the_stored_turn(
    think: Think, scripted_model: ScriptedModel
) -> None:
    """One paid reply, however often the activity is tried."""
    scripted_model.follow([[replies.say("Done."), replies.say("Again.")]])
    first = await ActivityEnvironment().run(think.think, REQUEST)
    assert first.answer == "Done."
    assert await ActivityEnvironment().run(think.think, REQUEST) == first
    assert scripted_model.served() == 1


async def test_a_busy_model_is_tried_again_when_it_says(
    think: Think, scripted_model: ScriptedModel
) -> None:
    """Retry-After is the delay of the next attempt; an overload is no fault of the worker's."""
    scripted_model.follow([replies.status(429, retry_after=7)])
    failure = await _failure(think)
    assert (failure.type, failure.non_retryable) == ("ModelBusy", False)
    assert failure.next_retry_delay == timedelta(seconds=7)
    assert failure.category is ApplicationErrorCategory.BENIGN


async def test_without_a_word_from_the_server_the_retry_policy_decides(
    think: Think, scripted_model: ScriptedModel
) -> None:
    """A dropped connection names no delay."""
    scripted_model.follow([replies.drop()])
    failure = await _failure(think)
    assert (failure.non_retryable, failure.next_retry_delay) == (False, None)


async def test_a_refusal_ends_the_run(think: Think, scripted_model: ScriptedModel) -> None:
    """With the sentence that says what to do, and no chain of tracebacks for the history."""
    scripted_model.follow([replies.status(401, "Wrong key")])
    failure = await _failure(think)
    assert (failure.type, failure.non_retryable) == ("ModelRefused", True)
    assert "Put a valid key into OPENAI_API_KEY." in failure.message
    assert failure.__cause__ is None


async def test_an_unknown_run_ends_the_run(think: Think) -> None:
    """Nothing that a retry could find."""
    request = REQUEST.model_copy(update={"run": "other"})
    with pytest.raises(ApplicationError) as caught:
        await ActivityEnvironment().run(think.think, request)
    assert (caught.value.type, caught.value.non_retryable) == ("UnknownRun", True)
