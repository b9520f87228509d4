"""The commands that only read the store: they start nothing, and give their exit code."""

from contextlib import suppress
from typing import Any

from rich.console import Console

from perdure.console.changes import Changes
from perdure.console.chronicle import Chronicle
from perdure.console.display import (
    clean,
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
from perdure.console.graph import flowchart
from perdure.console.relations import Relations
from perdure.console.roster import roster, told
from perdure.console.standing import listing
from perdure.console.transcript import Transcript, heading
from perdure.console.tree import drawn
from perdure.console.views import count_of_files
from perdure.contracts import AgentResult, RunStatus
from perdure.errors import UnknownRun
from perdure.settings import Settings
from perdure.store.reader import is_made, reading
from perdure.store.store import Store
from perdure.store.tables import StoredEntry, Turn


async def show(settings: Settings, run_id: str, *, as_json: bool) -> int:
    """Print the run's transcript, or how the team stands, and the runs below it."""
    async with reading(settings) as store:
        relations = await Relations.load(settings, store, run_id)
        present = _show_team if relations.is_team else _show_run
        await present(relations, as_json=as_json)
    return 0


async def _show_run(relations: Relations, *, as_json: bool) -> None:
    run, store = relations.run, relations.store
    rows = await store.news(run.id, None)
    before = await store.steps_before(run)
    if as_json:
        transcript = [_told(row, before) for row in rows]
        print_json(relations.told | {"transcript": transcript})
        return
    console = results()
    console.print(heading(run, relations.standing.status))
    transcript_of = Transcript(console, whole=True)
    for row in rows:
        transcript_of.show(row, before)
    _show_below(console, relations)
    if run.result is not None:
        _show_result(console, AgentResult.model_validate(run.result))


def _told(row: Turn | StoredEntry, steps_before: int) -> dict[str, Any]:
    told = {"type": type(row).__name__, **row.model_dump()}
    return told | {"step": row.step - steps_before} if isinstance(row, Turn) else told


async def _show_team(relations: Relations, *, as_json: bool) -> None:
    state = await relations.team_state()
    if as_json:
        print_json(relations.told | {"team": told(state)})
        return
    console = results()
    console.print(heading(relations.run, relations.standing.status))
    console.print(roster(state))
    _show_below(console, relations)
    await _show_lead(console, relations)
    if state.result is not None:
        _show_result(console, state.result)


def _show_below(console: Console, relations: Relations) -> None:
    if relations.below:
        console.print()
        console.print(drawn(f"{relations.run.workflow_id} and the runs below it", relations.nodes))


async def _show_lead(console: Console, relations: Relations) -> None:
    """The last step of the lead's transcript, and where the rest of it is."""
    lead, store = relations.lead, relations.store
    turn = await store.turn(lead.head) if lead and lead.head else None
    if lead is None or turn is None:
        return
    Transcript(console).show(turn, await store.steps_before(lead.run))
    console.print(f"starter.py show {lead.run.workflow_id} prints the lead's transcript")


def _show_result(console: Console, result: AgentResult) -> None:
    console.print(ending(result), soft_wrap=True)
    print(clean(result.answer))


async def graph(settings: Settings, run_id: str, *, as_json: bool = False) -> int:
    """Print the runs below this one, and a team's messages, as a Mermaid flowchart."""
    async with reading(settings) as store:
        relations = await Relations.load(settings, store, run_id)
        messages = await relations.messages()
    if as_json:
        print_json({"id": run_id, "runs": relations.below, "messages": messages})
        return 0
    for line in flowchart(relations.top, messages, relations.members):
        print(clean(line))
    return 0


async def show_ended(settings: Settings, run_id: str, *, as_json: bool) -> int | None:
    """Print what `watch` would have printed of a run that has ended; None while it has not."""
    if not is_made(settings):
        return None
    async with reading(settings) as store:
        if not await _has_ended(store, run_id):
            return None
        relations = await Relations.load(settings, store, run_id)
        more = await _retell(relations)
        files = await count_of_files(store, run_id)
    result = AgentResult.model_validate(relations.run.result)
    print_result(run_id, result, None, more if as_json else None)
    if files:
        say(got_by(run_id, files))
    return int(result.status != RunStatus.COMPLETED)


async def _retell(relations: Relations) -> dict[str, Any]:
    """Print what has happened; give what JSON tells besides the result."""
    if relations.is_team:
        state = await relations.team_state()
        for line in Changes().since(state):
            say(line)
        return {"team": told(state)}
    transcript = Transcript(progress(), top=relations.run.workflow_id)
    for event in await Chronicle(relations.store, relations.run.workflow_id).news():
        transcript.tell(event)
    return {"below": relations.below} if relations.below else {}


async def _has_ended(store: Store, run_id: str) -> bool:
    with suppress(UnknownRun):
        return (await store.find_run(run_id)).result is not None
    return False


async def list_runs(
    settings: Settings, status: str | None, limit: int, *, as_json: bool, everything: bool = False
) -> int:
    runs = await listing(settings, limit, status, everything=everything)
    if as_json:
        print_json(runs)
        return 0
    columns = ["id", "status", "agent", "steps", "cost", "task"]
    rows = [
        [run.id, run.status, run.agent, str(run.steps), cost(run.usage), run.task] for run in runs
    ]
    if everything:
        columns.insert(1, "parent")
        for row, run in zip(rows, runs, strict=True):
            row.insert(1, run.parent or "")
    results().print(table(columns, rows))
    return 0
