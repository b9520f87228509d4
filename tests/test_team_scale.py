"""Large teams: all is done once, and nothing that crosses Temporal comes near its limits."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from pydantic import TypeAdapter
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from benchmarks.teams import QUERY, Done, Play, have_done, staged
from perdure import attributes
from perdure.contracts import (
    TASK_QUEUE,
    AgentRequest,
    AgentResult,
    AgentSpec,
    Ask,
    Limits,
    Report,
    RunStatus,
    Spent,
    Usage,
)
from perdure.hosting.server import TUNING, binary
from perdure.settings import Settings
from perdure.store.store import Store
from perdure.store.tables import Run, StoredEntry, Turn
from perdure.teams.contracts import (
    MOST_MEMBERS,
    MemberPlan,
    MemberState,
    Supervision,
    TeamPlan,
    TeamRequest,
    TeamTask,
)
from perdure.testing.replies import finish
from perdure.testing.script import ChatRequest
from perdure.testing.scripted_model import ScriptedModel
from perdure.tools.team_control import MOST_TASKS as MOST_ASSIGNED
from worker import ROLES, serving
from workflows.agent import AgentWorkflow
from workflows.answers import answer
from workflows.assignment import MOST_TASKS
from workflows.crew import MOST_EDGES, Crew
from workflows.endings import take
from workflows.staffing import starts

EVENTS_BEFORE_NEW = 100
"""The server suggests to continue as new after so few, so that a small team does it often."""
MOST_EVENTS = 51_200
MOST_HISTORY_BYTES = 50 * 1024 * 1024
TEMPORALS_MOST = 2 * 1024 * 1024
"""Bytes of a payload, beyond which a workflow is ended."""
PAYLOAD_BYTES = TEMPORALS_MOST // 4
IDEOGRAMS = [chr(code) for code in range(0x4E00, 0x9FA5)]
"""Each takes three bytes."""
RANDOM = Random(1)


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    limit = f"limit.historyCount.suggestContinueAsNew={EVENTS_BEFORE_NEW}"
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(binary()),
        dev_server_extra_args=[*TUNING, "--dynamic-config-value", limit],
        data_converter=pydantic_data_converter,
        search_attributes=attributes.ALL,
    )
    async with environment:
        yield environment.client


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PERDURE_HOME", str(tmp_path))
    return Settings.load()


@pytest.mark.slow
async def test_a_team_that_often_continues_as_new_loses_nothing(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty members with sixty tasks: each done once, each message read once."""
    play = Play(members=20, tasks=60)
    async with ScriptedModel(play.reply) as model:
        monkeypatch.setenv("OPENAI_BASE_URL", model.url)
        async with serving(client, settings, ROLES):
            done = await have_done(client, play)
    await _check(done, play, settings.home)
    assert len(done.events) > 3


@pytest.mark.slow
async def test_a_hundred_agents_think_at_once_in_one_worker(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model answers none of them before all have asked."""
    agents = 100
    asking = asyncio.Barrier(agents)

    async def hold(request: ChatRequest) -> None:
        await asking.wait()

    async with ScriptedModel([finish("done")], on_request=hold) as model:
        monkeypatch.setenv("OPENAI_BASE_URL", model.url)
        async with serving(client, settings, ROLES):
            results = await asyncio.gather(
                *(
                    client.execute_workflow(
                        AgentWorkflow.run,
                        AgentRequest(
                            task="task", agent=AgentSpec(name="one", tools=()), model="scripted"
                        ),
                        id=f"agent-{number}",
                        task_queue=TASK_QUEUE,
                    )
                    for number in range(agents)
                )
            )
    assert Counter(result.status for result in results) == {"completed": agents}


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_hundred_members_do_a_thousand_tasks(tmp_path: Path) -> None:
    """With the server's own limits the team continues as new at least once."""
    play = Play(members=100, tasks=1000)
    async with staged(tmp_path, play) as stage:
        done = await have_done(stage.client, play)
    await _check(done, play, tmp_path)
    assert len(done.events) > 1


async def _check(done: Done, play: Play, home: Path) -> None:
    assert (done.result.status, done.result.answer) == ("completed", "All is done.")
    assert max(done.events) < MOST_EVENTS
    assert max(done.bytes) < MOST_HISTORY_BYTES
    assert done.largest.pop(QUERY) < TEMPORALS_MOST  # it is made when asked for, and stored nowhere
    assert max(done.largest.values()) < PAYLOAD_BYTES, done.largest
    expected = [f"t{number}" for number in range(play.tasks)]
    assert [each.id for each in done.state.tasks] == expected
    assert {each.status for each in done.state.tasks} == {"done"}
    assert sum(done.state.messages.values()) == len(play.letters)
    store = await Store.open(f"sqlite:///{home / 'store.db'}")
    try:
        assert await _answers(store, done.id) == {f"{id} is done.": 1 for id in expected}
        assert await _read(store, done.id) == dict.fromkeys(play.letters, 1)
    finally:
        await store.close()


async def _answers(store: Store, team: str) -> Counter[str]:
    """The beginnings of the answers of the team's runs, and how many gave each."""
    query = select(Run).where(col(Run.team) == team, col(Run.task_id).is_not(None))
    async with AsyncSession(store.engine) as session:
        results = [run.result or {} for run in await session.exec(query)]
    return Counter(f"{result['answer'].split('.')[0]}." for result in results)


async def _read(store: Store, team: str) -> Counter[str]:
    """How often each message was shown to a model."""
    entries = select(StoredEntry).where(col(StoredEntry.kind) == "message")
    turns = select(Turn.entries).join(Run, col(Run.id) == col(Turn.run_id)).where(Run.team == team)
    async with AsyncSession(store.engine) as session:
        texts = {entry.id: entry.text.splitlines()[-1] for entry in await session.exec(entries)}
        shown = [id for ids in await session.exec(turns) for id in ids]
    return Counter(texts[id] for id in shown if id in texts)


def test_the_largest_team_crosses_continue_as_new_in_one_payload() -> None:
    """Every text is as long as it may be, and hard to compress."""
    crew = _largest()
    assert len(crew.ledger.tasks) == MOST_TASKS
    assert "Too many" in (crew.has_no_room(crew.roster[-1]) or "")
    request = TeamRequest(goal="goal", team="crew", progress=crew.carried(None))
    assert len(request.model_dump_json()) < TEMPORALS_MOST
    tasks = TypeAdapter(tuple[TeamTask, ...]).dump_json(crew.ledger.tasks)
    members = TypeAdapter(tuple[MemberState, ...]).dump_json(tuple(crew.members.values()))
    assert len(tasks) + len(members) < TEMPORALS_MOST, "what the query `status` answers"


def _largest() -> Crew:
    """A crew whose ledger, mail and table of messages are full."""
    now = datetime.now(UTC)
    plans = [_member(f"worker-{number}", "worker") for number in range(1, MOST_MEMBERS)]
    plan = TeamPlan(
        run=str(uuid4()),
        team="crew",
        goal="goal",
        lead=_member("chief", "chief"),
        members=tuple(plans),
        limits=Limits(max_steps=1_000_000, max_tokens=10**9, max_cost_usd=10_000),
        lead_share=0.25,
        supervision=Supervision(),
        shared_workspace=False,
        executes=False,
    )
    crew = Crew(f"team-{uuid4()}", plan, now, None)
    ids = [f"task-{number}" for number in range(MOST_TASKS)]
    list(starts(crew, now))
    for start in range(0, MOST_TASKS, MOST_ASSIGNED):
        batch = [_wanted(id, ids[:start]) for id in ids[start : start + MOST_ASSIGNED]]
        _ask(crew, "chief", "assign", {"tasks": batch})
    list(starts(crew, now))
    _fill_mail(crew)
    while members := [each for each in crew.at_work if each.name != crew.lead]:
        for member in members:
            take(crew, _report(member), now)
        list(starts(crew, now))
    return crew


def _fill_mail(crew: Crew) -> None:
    first, *others = crew.roster
    for number in range(MOST_EDGES + 1):
        crew.count_message(first, f"somebody-{number}")
    while crew.has_no_room(others[-1]) is None:
        for other in others:
            _ask(crew, first, "send_message", {"to": other, "text": ""})
            reply, parcels = crew.mail[first].unsent or (0, ())
            crew.mail[first].sent(reply + len(parcels) - 1)


def _member(name: str, kind: str) -> MemberPlan:
    limits = Limits(max_steps=50, max_tokens=10_000, max_cost_usd=1.5, max_minutes=60)
    return MemberPlan(name=name, kind=kind, model="m" * 60, limits=limits)


def _wanted(id: str, earlier: Sequence[str]) -> dict[str, Any]:
    return {"id": id, "to": "worker", "task": _words(200), "depends_on": list(earlier[-3:])}


def _ask(crew: Crew, member: str, tool: str, arguments: dict[str, Any]) -> None:
    state = crew.members[member]
    ask = Ask(
        member=member,
        run=state.workflow_id,
        execution="execution",
        number=state.asked + 1,
        tool=tool,
        turn=f"t-{uuid4().hex[:24]}",
        call=f"call_{uuid4().hex[:24]}",
        arguments=arguments,
        read=1_000_000,
        spent=Spent(),
    )
    answer(crew, ask, datetime.now(UTC))


def _report(member: MemberState) -> Report:
    result = AgentResult(
        status=RunStatus.COMPLETED,
        answer=_words(200),
        head=f"t-{uuid4().hex[:24]}",
        steps=2,
        usage=Usage(input_tokens=10_000, output_tokens=1000, cost_usd=0.0123456),
    )
    return Report(
        member=member.name, workflow_id=member.workflow_id, run=str(uuid4()), result=result, read=0
    )


def _words(length: int) -> str:
    return "".join(RANDOM.choices(IDEOGRAMS, k=length))
