"""What must be true of every team, however often its workers or its server were killed."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from temporalio.client import WorkflowExecutionStatus

from perdure.contracts import SEND_MESSAGE, AgentResult, RunStatus, Spent, Usage
from perdure.store.family import Family
from perdure.store.store import RunSummary, Store
from perdure.store.tables import StoredEntry, Turn, id_of
from perdure.teams.contracts import TaskStatus, TeamState
from perdure.tools.arguments import parse
from tests.crash.team_plan import Plan
from tests.crash.team_trial import TeamTrial
from workflows.purse import Purse

DELIVERED = "reads it"
"""In what a sender is told of a message that the team took."""
CENT = 0.005


@dataclass(frozen=True)
class Verdict:
    """What may differ from one time to another, for a test to judge."""

    runs: int
    is_continued: bool
    """Whether the team's workflow has continued as new."""
    ended: Counter[str]
    """Runs, by how they ended."""
    restarts: int
    out: tuple[str, ...]
    """Members that were given up."""
    messages: int
    effects: int
    untold: int
    """Effects of which the model was told that their outcome is not known."""
    cost: float


class Send(NamedTuple):
    """A call of `send_message` in a member's transcript."""

    sender: str
    to: str
    text: str
    entry: str
    """Id of the entry that shows the message."""
    told: str | None
    """What the sender was told; None where its run ended first."""


@dataclass(frozen=True)
class Transcript:
    """All that a member was shown and has said, over all of its runs."""

    member: str
    turns: Sequence[Turn]
    entries: dict[str, StoredEntry]

    def calls(self) -> Iterator[tuple[Turn, dict[str, Any], StoredEntry | None]]:
        """Each call with its result, where the model was shown one."""
        for turn, after in zip_longest(self.turns, self.turns[1:]):
            shown = [self.entries[each] for each in after.entries] if after else []
            results = {entry.call: entry for entry in shown if entry.kind == "result"}
            for call in turn.calls:
                yield turn, call, results.get(call["id"])

    def sends(self) -> Iterator[Send]:
        for turn, call, result in self.calls():
            if call["tool"] == SEND_MESSAGE:
                arguments = parse(SEND_MESSAGE, call["arguments"])
                key = f"{turn.id}:{call['id']}"
                yield Send(
                    sender=self.member,
                    to=arguments["to"],
                    text=arguments["text"],
                    entry=id_of("e", f"entry:{key}"),
                    told=result.text if result else None,
                )

    def shown(self) -> list[str]:
        """Ids of all entries, in order and as often as they were shown."""
        return [each for turn in self.turns for each in turn.entries]


async def judge(trial: TeamTrial, result: AgentResult) -> Verdict:
    """Assert what must hold; the rest is returned."""
    state = await trial.state()
    store = await Store.open(f"sqlite:///{trial.home / 'store.db'}")
    try:
        team = await store.find_run(trial.id)
        runs = await Family(store).of(trial.id)
        transcripts = [
            await _transcript(store, member.name, member.head) for member in state.members
        ]
    finally:
        await store.close()
    assert result.status == RunStatus.COMPLETED, result.reason
    assert team.result == result.model_dump(mode="json")
    out = tuple(each.name for each in state.members if each.standing == "out")
    _judge_tasks(trial.plan, state, runs, transcripts, out)
    _judge_purse(trial, state, result, runs)
    await _judge_ends(trial, state, runs)
    messages = _judge_messages(transcripts, out)
    effects, untold = _judge_effects(trial.home / "effects", transcripts)
    return Verdict(
        runs=len(runs),
        is_continued=(await trial.handle.describe()).run_id != team.id,
        ended=Counter(str((each.run.result or {})["status"]) for each in runs),
        restarts=sum(each.restarts for each in state.members),
        out=out,
        messages=messages,
        effects=effects,
        untold=untold,
        cost=result.usage.cost_usd or 0.0,
    )


async def _transcript(store: Store, member: str, head: str | None) -> Transcript:
    turns = await store.path(head) if head else []
    entries = await store.entries({each for turn in turns for each in turn.entries})
    return Transcript(member, turns, entries)


def _judge_tasks(
    plan: Plan,
    state: TeamState,
    runs: Sequence[RunSummary],
    transcripts: Sequence[Transcript],
    out: Sequence[str],
) -> None:
    """Each task is done by one run, whose answer is its result, and is shown to who needs it."""
    jobs = {job.id: job for job in (*plan.jobs, *(j for j in plan.last_jobs if j.to not in out))}
    assert [task.id for task in state.tasks] == list(jobs)
    completed = defaultdict(list)
    for each in runs:
        if (each.run.result or {})["status"] == RunStatus.COMPLETED:
            completed[each.run.task_id].append(each.run)
    texts = {each.member: _texts(each) for each in transcripts}
    for task in state.tasks:
        assert task.status is TaskStatus.DONE, task
        (run,) = completed[task.id]
        assert (run.id, run.member) == (task.run, task.member)
        assert run.result is not None
        assert run.result["answer"] == jobs[task.id].answer
        mine = "\n".join(texts[task.member])
        for need in jobs[task.id].needs:
            assert jobs[need].answer in mine, f"{task.id} was not shown the result of {need}"
        assert mine.count(jobs[task.id].key) == 1, f"{task.id} was given more than once"


def _texts(transcript: Transcript) -> list[str]:
    return [transcript.entries[each].text for each in transcript.shown()]


def _judge_purse(
    trial: TeamTrial, state: TeamState, result: AgentResult, runs: Sequence[RunSummary]
) -> None:
    """The bill is what all turns in the store add up to, and no share is left reserved."""
    bill = sum((each.usage for each in runs), Usage())
    for usage in (result.usage, state.usage):
        assert (usage.input_tokens, usage.output_tokens) == (bill.input_tokens, bill.output_tokens)
        assert usage.cost_usd is not None and bill.cost_usd is not None
        assert abs(usage.cost_usd - bill.cost_usd) < CENT
    now = datetime.now(UTC)
    limits = trial.plan.team(trial.supervision).limits
    spent = Spent(steps=result.steps, usage=result.usage)
    assert state.left == str(Purse(limits, now, spent).left(now))


async def _judge_ends(trial: TeamTrial, state: TeamState, runs: Sequence[RunSummary]) -> None:
    """Every run that was started has ended, in the store as in Temporal."""
    started = {
        f"{trial.id}.{member.name}.{number}"
        for member in state.members
        for number in range(1, member.runs + 1)
    }
    assert {each.run.workflow_id for each in runs} == started
    for id in started:
        described = await trial.client.get_workflow_handle(id).describe()
        assert described.status is WorkflowExecutionStatus.COMPLETED, id
    assert all(each.run.ended_at is not None for each in runs)


def _judge_messages(transcripts: Sequence[Transcript], out: Sequence[str]) -> int:
    """Each message that the team took is read once, by whom it was for, in the sender's order."""
    sends = [send for each in transcripts for send in each.sends()]
    places = {each.member: each.shown() for each in transcripts}
    texts = Counter(
        text for each in transcripts for text in _texts(each) if text.startswith("Message from ")
    )
    assert len({send.text for send in sends}) == len(sends)
    assert sum(texts.values()) == len(texts), [text for text, n in texts.items() if n > 1]
    for send in sends:
        shown = [name for name, ids in places.items() for _ in range(ids.count(send.entry))]
        taken = send.told is not None and DELIVERED in send.told
        if taken and send.to not in out:
            assert shown == [send.to], send
        elif send.told is None or taken:
            assert shown in ([], [send.to]), send
        else:
            assert shown == [], send
    for ids in places.values():
        _judge_order(ids, sends)
    expected = {f"Message from {send.sender}. {send.text}" for send in sends}
    assert {" ".join(text.split()) for text in texts} <= expected
    return len(texts)


def _judge_order(shown: Sequence[str], sends: Sequence[Send]) -> None:
    by_sender = defaultdict(list)
    for send in sends:
        if send.entry in shown:
            by_sender[send.sender].append(shown.index(send.entry))
    for indexes in by_sender.values():
        assert indexes == sorted(indexes)


def _judge_effects(file: Path, transcripts: Sequence[Transcript]) -> tuple[int, int]:
    """No effect took place twice, and each of which the model was told so took place."""
    lines = Counter(file.read_text().splitlines())
    assert set(lines.values()) == {1}, [line for line, n in lines.items() if n > 1]
    sure: set[str] = set()
    unsure: set[str] = set()
    for each in transcripts:
        for _, call, result in each.calls():
            if line := _line(call):
                is_sure = result is not None and result.status == "ok"
                (sure if is_sure else unsure).add(line)
    assert sure <= set(lines)
    assert set(lines) <= sure | unsure
    return len(sure), len(unsure)


def _line(call: dict[str, Any]) -> str | None:
    """What the call is to append, if it is one that does."""
    if call["tool"] == "write":
        line: str = parse("write", call["arguments"])["line"]
        return line
    if call["tool"] == "execute_shell":
        command: str = parse("execute_shell", call["arguments"])["command"]
        return command.split("'")[1] if command.startswith("echo") else None
    return None
