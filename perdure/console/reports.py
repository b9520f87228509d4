"""The commands that only read the store: they start nothing, and give their exit code."""

from typing import Any

from perdure.console.display import (
    cost,
    ending,
    got_by,
    print_json,
    print_result,
    progress,
    results,
    say,
    table,
)
from perdure.console.follow import count_of_files
from perdure.console.standing import listing, reachable, status_of
from perdure.console.transcript import Transcript, heading
from perdure.contracts import AgentResult, RunStatus
from perdure.errors import UnknownRun
from perdure.settings import Settings
from perdure.store.reader import is_made, reading
from perdure.store.store import Store
from perdure.store.tables import Run, StoredEntry, Turn


async def show(settings: Settings, run_id: str, *, as_json: bool) -> int:
    """Print the run's transcript on standard output."""
    async with reading(settings) as store:
        run = await store.find_run(run_id)
        rows = await store.news(run.id, None)
        before = await store.steps_before(run)
    status = await status_of(run, await reachable(settings))
    if as_json:
        transcript = [_told(row, before) for row in rows]
        print_json({"run": run.model_dump(), "status": status, "transcript": transcript})
        return 0
    console = results()
    console.print(heading(run, status))
    transcript_of = Transcript(console, whole=True)
    for row in rows:
        transcript_of.show(row, before)
    if run.result is not None:
        result = AgentResult.model_validate(run.result)
        console.print(ending(result), soft_wrap=True)
        transcript_of.answer(result)
    return 0


def _told(row: Turn | StoredEntry, steps_before: int) -> dict[str, Any]:
    told = {"type": type(row).__name__, **row.model_dump()}
    return told | {"step": row.step - steps_before} if isinstance(row, Turn) else told


async def show_ended(settings: Settings, run_id: str, *, as_json: bool) -> int | None:
    """Print what `watch` would have printed of a run that has ended; None while it has not."""
    if not is_made(settings):
        return None
    async with reading(settings) as store:
        run = await _found(store, run_id)
        if run is None or run.result is None:
            return None
        rows = await store.news(run.id, None)
        before = await store.steps_before(run)
        files = await count_of_files(store, run.id)
    transcript = Transcript(progress())
    for row in rows:
        transcript.show(row, before)
    result = AgentResult.model_validate(run.result)
    print_result(run_id, result, None, as_json=as_json)
    if files:
        say(got_by(run_id, files))
    return int(result.status != RunStatus.COMPLETED)


async def _found(store: Store, run_id: str) -> Run | None:
    try:
        return await store.find_run(run_id)
    except UnknownRun:
        return None


async def list_runs(settings: Settings, status: str | None, limit: int, *, as_json: bool) -> int:
    every = await listing(settings, limit if status is None else None)
    runs = [run for run in every if status in {None, run.status}][:limit]
    if as_json:
        print_json(runs)
        return 0
    rows = [
        (run.id, run.status, run.agent, str(run.steps), cost(run.usage), run.task) for run in runs
    ]
    results().print(table(["id", "status", "agent", "steps", "cost", "task"], rows))
    return 0
