"""A team's changes as lines."""

from itertools import pairwise

from perdure.console.changes import Changes
from perdure.contracts import RunStatus
from perdure.teams.contracts import TeamState
from tests.console.crew import member, state, task


def _lines(*states: TeamState) -> list[str]:
    """What is told of the last state by someone who has seen those before."""
    changes = Changes()
    return [changes.since(each) for each in states][-1]


def test_the_first_state_is_summed_up_once() -> None:
    """Whoever comes to a team that is long at work is told how it stands, not all that was."""
    crew = state(
        member("boss", "working"),
        member("coder-1", "working", "api"),
        tasks=[task("api", "running", "coder-1"), task("old", "done", "coder-1")],
        messages={"boss>coder-1": 4},
    )
    told = _lines(state(), crew)
    assert len(told) == 3
    assert "4 messages sent" in told[0]
    assert told[1:] == ["tasks: 1 running, 1 done", "working: boss, coder-1 (api)"]
    assert _lines(crew, crew) == []


def test_a_task_is_told_of_when_it_is_planned_taken_and_done() -> None:
    """A line each; the last with the beginning of the result."""
    empty = state(member("boss"))
    planned = state(member("boss"), tasks=[task("a"), task("b")])
    taken = state(member("boss"), tasks=[task("a", "running", "coder-1"), task("b")])
    done = state(member("boss"), tasks=[task("a", "done", "coder-1", outcome="It is."), task("b")])
    seen = [_lines(*pair) for pair in pairwise([empty, planned, taken, done])]
    assert seen == [
        ["2 tasks planned: a, b"],
        ["coder-1 takes a: Do a."],
        ["a is done by coder-1: It is."],
    ]


def test_a_task_that_was_short_is_told_of_whole() -> None:
    """Taken and ended between two looks: both lines."""
    before = state(member("boss"), tasks=[task("a")])
    after = state(member("boss"), tasks=[task("a", "failed", "coder-1", outcome="Broken.")])
    assert _lines(before, after) == ["coder-1 takes a: Do a.", "a has failed: Broken."]


def test_a_task_that_nobody_took_fails_in_one_line() -> None:
    """Because of what it depends on, or cancelled with nobody at it."""
    before = state(member("boss"), tasks=[task("b"), task("c")])
    after = state(
        member("boss"),
        tasks=[task("b", "failed", outcome="needs 'a', which failed"), task("c", "cancelled")],
    )
    assert _lines(before, after) == ["b has failed: needs 'a', which failed", "c is cancelled"]


def test_a_task_that_goes_to_another_member_is_told_of() -> None:
    """It waits again, and the next one takes it; a restart of the same member takes nothing."""
    with_one = state(member("boss"), tasks=[task("a", "running", "coder-1")])
    back = state(member("boss"), tasks=[task("a", "waiting", "coder-1", lost=("coder-1",))])
    with_two = state(member("boss"), tasks=[task("a", "running", "coder-2", lost=("coder-1",))])
    assert _lines(with_one, back) == ["a waits again, for coder; coder-1 has not done it"]
    assert _lines(back, with_two) == ["coder-2 takes a: Do a."]
    assert _lines(with_one, with_one) == []


def test_messages_are_told_by_sender_and_receiver() -> None:
    """How many are new since the last look."""
    before = state(member("boss"), messages={"a>b": 1})
    after = state(member("boss"), messages={"a>b": 3, "b>a": 1})
    assert _lines(before, after) == ["a → b: 2 messages", "b → a: 1 message"]


def test_supervision_is_told_with_its_reason() -> None:
    """A restart, a stop, and a member that is given up."""
    works = member("coder-1", "working", "a")
    stopping = member("coder-1", "stopping", "a", reason="It hangs.")
    again = member("coder-1", "working", "a", reason="It hangs.", restarts=1)
    out = member("coder-1", "out", reason="Too often.", restarts=1)
    seen = [
        _lines(state(first), state(second))
        for first, second in pairwise([works, stopping, again, out])
    ]
    assert seen == [
        ["coder-1 is stopped: It hangs."],
        ["coder-1 is restarted: It hangs."],
        ["coder-1 is out: Too often."],
    ]


def test_a_pause_is_told() -> None:
    """The team's own standing, when it changes; its end is told with its answer."""
    running = state(member("boss"))
    paused = state(member("boss"), status=RunStatus.PAUSED)
    assert _lines(running, paused) == ["the team is paused"]
    assert _lines(paused, running) == ["the team is running"]
    assert _lines(running, state(member("boss"), status=RunStatus.COMPLETED)) == []


def test_many_names_are_cut() -> None:
    """A thousand tasks are planned in one line."""
    after = state(member("boss"), tasks=[task(f"t{n}") for n in range(1000)])
    (line,) = _lines(state(member("boss")), after)
    assert line.startswith("1,000 tasks planned: t0, t1,")
    assert line.endswith("t9, and 990 more")
