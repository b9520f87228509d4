"""The messages of a team, as its members' turns tell of them, on both databases."""

import json

from perdure.store.store import Store
from perdure.teams.messages import Messages
from tests.console.crew import run_of
from tests.model.turns import make_call, make_run, make_turn


def _message(to: str, id: str = "c", **fields: str) -> dict[str, object]:
    return make_call(id, "send_message", json.dumps({"to": to, "text": "Hi."}), **fields)


async def test_messages_are_counted_by_sender_and_receiver(store: Store) -> None:
    """Through all runs of a member; what a message merely speaks of does not count."""
    runs = [run_of("a", 1), run_of("a", 2, minute=2), run_of("b")]
    speaks = make_call("d", "write_file", '{"text": "use send_message"}')
    await store.add(
        *runs,
        make_turn("t1", _message("b"), _message("boss", "e"), speaks, run_id=runs[0].id),
        make_turn("t2", _message("b"), run_id=runs[1].id),
        make_turn("t3", speaks, run_id=runs[2].id),
    )
    assert await Messages(store).among(runs) == {"a>b": 2, "a>boss": 1}


async def test_a_call_that_was_never_carried_out_sent_nothing(store: Store) -> None:
    """Nor did one of a run outside the team, or of another team."""
    run, other, delegated = run_of("a"), run_of("b"), make_run("delegated")
    wrong = make_call("c", "send_message", "{}", problem="it takes to and text")
    await store.add(
        run,
        make_turn("t1", wrong, run_id=run.id),
        make_turn("t2", _message("a"), run_id=other.id),
        make_turn("t3", _message("a"), run_id=delegated.id),
    )
    assert await Messages(store).among([run, delegated]) == {}


async def test_a_message_is_found_however_a_model_wrote_its_arguments(store: Store) -> None:
    """Leniently, as when it was sent: with raw line breaks, or encoded twice."""
    run = run_of("a")
    raw = make_call("c", "send_message", '{"to": "b", "text": "one\ntwo"}')
    twice = make_call("d", "send_message", json.dumps('{"to": "b", "text": ""}'))
    await store.add(run, make_turn("t1", raw, twice, run_id=run.id))
    assert await Messages(store).among([run]) == {"a>b": 2}
