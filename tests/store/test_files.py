"""What the store knows of a run's files: its states step by step, and contents kept once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perdure.sandbox.inside.index import Changes
from perdure.store.files import Files, UnknownStep
from perdure.store.packing import content, pack, piece, unpack
from perdure.store.store import Store
from perdure.store.tables import Checkpoint, Run, Turn

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FOLDER = ["d", 0o755]


def _run(**fields: Any) -> Run:
    given = {"workflow_id": "agent-1", "agent": "a", "model": "m", "spec": {}, "task": "a task"}
    return Run(**({"id": "run"} | given | fields))


def _turn(step: int, run: str = "run") -> Turn:
    return Turn(
        id=f"t{step}",
        run_id=run,
        parent_id=f"t{step - 1}" if step > 1 else None,
        step=step,
        entries=[],
        thought="",
        calls=[],
        characters=1,
        model="m",
        finish_reason="stop",
        input_tokens=1,
        output_tokens=1,
        cost_usd=None,
        seconds=0.1,
    )


def _checkpoint(number: int, turn: int | None, changes: Changes, **fields: Any) -> Checkpoint:
    given = {
        "id": f"c{number}",
        "run_id": "run",
        "parent_id": f"c{number - 1}" if number else None,
        "state": f"state {number}",
        "turn_id": None if turn is None else f"t{turn}",
        "key": "k",
        "changes": pack(changes),
        "files": len(changes),
        "new_bytes": 5_000_000_000,
        "created_at": NOON + timedelta(seconds=number),
    }
    return Checkpoint(**(given | fields))


@pytest.fixture
def files(store: Store) -> Files:
    return Files(store)


async def _record(store: Store, files: Files) -> None:
    """Three steps, of which the second changed nothing and the third's two calls did."""
    await store.keep(_run())
    for step in (1, 2, 3):
        await store.keep(_turn(step))
    await files.keep(
        _checkpoint(0, None, {"given": FOLDER, "later gone": FOLDER}),
        _checkpoint(1, 1, {"first": FOLDER, "later gone": None}),
        _checkpoint(2, 3, {"third": FOLDER}),
        _checkpoint(3, 3, {"third too": ["l", "\udcff"]}),
    )


@pytest.mark.parametrize(
    ("step", "paths"),
    [
        (0, {"given", "later gone"}),
        (1, {"given", "first"}),
        (2, {"given", "first"}),
        (3, {"given", "first", "third", "third too"}),
    ],
)
async def test_a_state_is_what_the_calls_of_its_step_left(
    store: Store, files: Files, step: int, paths: set[str]
) -> None:
    """All changes on the way to it, and none that came later."""
    await _record(store, files)
    assert set(await files.entries(await files.at("run", step))) == paths


@pytest.mark.parametrize("step", [-1, 4])
async def test_a_step_to_which_a_run_has_not_come_is_refused(
    store: Store, files: Files, step: int
) -> None:
    """The sentence says how far it has come."""
    await _record(store, files)
    with pytest.raises(UnknownStep, match=f"'agent-1' has no step {step}: .* come to step 3"):
        await files.at("run", step)


async def test_steps_are_counted_from_where_the_run_went_on(store: Store, files: Files) -> None:
    """A run that continues another has a first step of its own."""
    await store.keep(_run(parent_head="t2"))
    for step in (1, 2):
        await store.keep(_turn(step, run="earlier"))
    for step in (3, 4):
        await store.keep(_turn(step))
    await files.keep(_checkpoint(0, 3, {"a": FOLDER}), _checkpoint(1, 4, {"b": FOLDER}))
    assert await files.at("run", 0) is None
    assert set(await files.entries(await files.at("run", 1))) == {"a"}
    assert set(await files.entries(await files.at("run", 2))) == {"a", "b"}


async def test_the_last_state_is_the_newest(store: Store, files: Files) -> None:
    """Whatever bytes its names have, they come back."""
    await _record(store, files)
    last = await files.last("run")
    assert last is not None
    assert (last.id, last.state, last.created_at) == ("c3", "state 3", NOON + timedelta(seconds=3))
    assert (await files.entries(last))["third too"] == ["l", "\udcff"]


async def test_the_latest_of_a_member_is_of_its_newest_run_with_files(
    store: Store, files: Files
) -> None:
    """A run that has none yet does not hide those of the one before."""
    member = {"team": "team-1", "member": "coder-1"}
    await store.keep(
        _run(id="old", created_at=NOON, **member),
        _run(id="new", created_at=NOON + timedelta(minutes=1), **member),
        _run(id="none", created_at=NOON + timedelta(minutes=2), **member),
        _run(id="other", created_at=NOON + timedelta(minutes=3), team="team-1", member="coder-2"),
        _run(id="alien", created_at=NOON + timedelta(minutes=3), team="team-2", member="coder-1"),
    )
    for number, run in enumerate(["new", "new", "old", "other", "alien"]):
        await files.keep(_checkpoint(number, None, {f"{number}": FOLDER}, run_id=run))
    latest = await files.latest("team-1", "coder-1")
    assert latest is not None
    assert latest.id == "c1"
    assert set(await files.recorded(latest.id)) == {"0", "1"}
    assert await files.latest("team-1", "coder-3") is None


async def test_a_run_without_checkpoints_has_no_files(store: Store, files: Files) -> None:
    """Neither before its first step nor at its last."""
    await store.keep(_run())
    assert await files.last("run") is None
    assert await files.entries(await files.at("run", 0)) == {}


async def test_a_long_chain_is_folded_in_its_order(store: Store, files: Files) -> None:
    """A path that came and went a thousand times is as it was last."""
    await store.keep(_run())
    await files.keep(
        *(_checkpoint(n, None, {"a": ["d", n], "b": FOLDER if n % 2 else None}) for n in range(999))
    )
    assert await files.entries(await files.last("run")) == {"a": ["d", 998]}


async def test_the_first_checkpoint_of_an_id_stays(store: Store, files: Files) -> None:
    """A retry that found the same state changes nothing."""
    await files.keep(_checkpoint(0, None, {"a": FOLDER}))
    await files.keep(_checkpoint(0, None, {"b": FOLDER}))
    assert set(await files.entries(await files.last("run"))) == {"a"}


async def test_contents_are_found_again(store: Store, files: Files) -> None:
    """Compressed where that helps, and as they are where it does not."""
    contents = [b"", b"x", bytes(10_000), bytes(range(256)) * 10]
    pieces = {row.id: row for row in map(piece, contents)}
    await files.keep(*pieces.values())
    assert await files.missing([*pieces, "unknown"]) == {"unknown"}
    found = await files.contents(list(pieces))
    assert sorted(found.values()) == sorted(contents)
    assert all(len(row.data) <= row.size for row in pieces.values())


async def test_more_contents_are_looked_up_than_a_query_takes(store: Store, files: Files) -> None:
    """In several queries."""
    rows = [piece(str(number).encode()) for number in range(1200)]
    await files.keep(*rows)
    digests = [row.id for row in rows]
    assert await files.missing([*digests, "unknown"]) == {"unknown"}
    assert len(await files.contents(digests)) == 1200


def test_what_is_packed_is_unpacked() -> None:
    """Changes with any name, and pieces of any content."""
    changes: Changes = {"\udcff\n": ["l", "ü"], "gone": None}
    assert unpack(pack(changes)) == changes
    assert content(piece(b"abc" * 100)) == b"abc" * 100
