"""What the commands print that only read the store."""

import json
from pathlib import Path

import pytest
import pytest_asyncio

from perdure.console.reports import show
from perdure.settings import Settings
from perdure.store.store import Store
from tests.model.turns import make_run, make_turn


@pytest_asyncio.fixture
async def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with a run of one step that goes on from the third turn of another."""
    for name in ("TEMPORAL_ADDRESS", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings(home=tmp_path)
    store = await Store.open(settings.store_url)
    await store.migrate()
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
