"""What must be true of every run, however often its worker or its server was killed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from perdure.contracts import AgentResult, RunStatus
from perdure.store.store import Store
from perdure.store.tables import Run, StoredEntry, Turn
from tests.crash.trial import Trial, results


@dataclass(frozen=True)
class Verdict:
    """What may differ from one kill to another, for a test to judge."""

    steps: int
    paid_twice: int
    """Replies that were sent and, since the worker died first, never stored."""
    unknown: int
    """Unsafe calls of which the model was told that the outcome is unknown."""
    lines: int
    """Unsafe effects that took place."""
    messages: list[str]
    """What the model was told from outside, in order; each of them it was shown once."""


async def judge(trial: Trial, result: AgentResult) -> Verdict:
    """Assert what must hold; the rest is returned."""
    store = await Store.open(f"sqlite:///{trial.home / 'store.db'}")
    try:
        run = await store.find_run(trial.id)
        assert result.head is not None
        path = await store.path(result.head)
        news = await store.news(run.id, None)
    finally:
        await store.close()
    entries = {row.id: row for row in news if isinstance(row, StoredEntry)}
    _judge_result(run, path, result)
    _judge_tree([row for row in news if isinstance(row, Turn)], path, entries)
    _judge_prompts(trial)
    _judge_payments(trial, path)
    return _judge_effects(trial, run, path, entries)


def _judge_result(run: Run, path: Sequence[Turn], result: AgentResult) -> None:
    """The answer is right, the bill is what the turns add up to, and the store has both."""
    steps = len(path) - 1
    assert result.status == RunStatus.COMPLETED, result.reason
    assert result.answer == str(sum(step**2 for step in range(1, steps + 1)))
    assert result.steps == len(path)
    assert (result.usage.input_tokens, result.usage.output_tokens) == (
        sum(turn.input_tokens for turn in path),
        sum(turn.output_tokens for turn in path),
    )
    assert run.result == result.model_dump(mode="json")
    assert run.ended_at is not None


def _judge_tree(
    turns: Sequence[Turn], path: Sequence[Turn], entries: dict[str, StoredEntry]
) -> None:
    """A chain without branches; each call has one result at the next turn; no entry is left."""
    assert {turn.id for turn in turns} == {turn.id for turn in path}
    assert [turn.step for turn in path] == list(range(1, len(path) + 1))
    assert [turn.parent_id for turn in path] == [None, *(turn.id for turn in path[:-1])]
    assert Counter(each for turn in path for each in turn.entries) == Counter(entries.keys())
    for turn, after in pairwise(path):
        shown = [entries[each] for each in after.entries]
        answered = [entry.call for entry in shown if entry.kind == "result"]
        assert Counter(answered) == Counter(call["id"] for call in turn.calls)


def _judge_prompts(trial: Trial) -> None:
    """Whatever the model was ever shown, each call was followed by its one result."""
    for request in trial.model.requests:
        for index, message in enumerate(request.messages):
            ids = [call["id"] for call in message.get("tool_calls") or ()]
            answers = request.messages[index + 1 : index + 1 + len(ids)]
            assert [answer.get("tool_call_id") for answer in answers] == ids
        told = [message["role"] for message in request.messages]
        asked = sum(len(message.get("tool_calls") or ()) for message in request.messages)
        assert told.count("tool") == asked


def _judge_payments(trial: Trial, path: Sequence[Turn]) -> None:
    """Once a turn is stored, the model is not asked for it again."""
    for request in trial.model.requests:
        turn = path[request.place]
        assert request.time <= turn.created_at.timestamp(), f"step {turn.step} was asked again"


def _judge_effects(
    trial: Trial, run: Run, path: Sequence[Turn], entries: dict[str, StoredEntry]
) -> Verdict:
    """Effects that may be repeated are right in the end; the others happened once or never."""
    steps = list(range(1, len(path)))
    assert sorted(int(place.read_text()) for place in trial.home.glob("put-*")) == steps
    lines = Counter(int(line) for line in (trial.home / "ledger").read_text().split())
    assert set(lines.values()) == {1}, f"repeated: {lines}"
    outcomes = [entries[each] for turn in path for each in turn.entries]
    looked = [entry for entry in outcomes if entry.tool == "look"]
    assert {entry.status for entry in looked} == {"ok"}
    appended = [entry for entry in outcomes if entry.tool == "append"]
    told = results(trial.model.requests[-1].messages, "append")
    unknown = [text for text in told if text.startswith("[unknown] The outcome is unknown.")]
    for step, entry in zip(steps, appended, strict=True):
        assert entry.status == "unknown" or lines[step] == 1
    assert len(unknown) == sum(entry.status == "unknown" for entry in appended)
    messages = [entry.text for entry in outcomes if entry.kind == "message"]
    shown = [m["content"] for m in trial.model.requests[-1].messages if m["role"] == "user"]
    assert shown[1:] == messages  # after the task
    return Verdict(
        steps=len(steps),
        paid_twice=trial.model.served() - len(path),
        unknown=len(unknown),
        lines=lines.total(),
        messages=messages,
    )
