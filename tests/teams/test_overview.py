"""A team at a glance."""

from perdure.teams import overview
from tests.console.crew import member, spent, state, task


def test_those_that_work_come_first() -> None:
    """The lead before the others, then those that stop, those that are out, those that are free."""
    crew = state(
        member("boss", "working"),
        member("coder-1"),
        member("coder-2", "out", reason="It failed too often."),
        member("coder-3", "working", "schema"),
        member("coder-4", "stopping", "api", reason="It hangs."),
    )
    rows = overview.members(crew, 9)
    assert [row[:3] for row in rows.shown] == [
        ("boss", "working", "leads"),
        ("coder-3", "working", "schema"),
        ("coder-4", "stopping", "api: It hangs."),
        ("coder-2", "out", "It failed too often."),
        ("coder-1", "free", ""),
    ]
    assert rows.rest == ""


def test_what_has_no_place_is_counted_by_standing() -> None:
    """A hundred members in five rows."""
    coders = [member(f"coder-{n}", "working" if n <= 10 else "free") for n in range(1, 100)]
    rows = overview.members(state(member("boss", "working"), *coders), 5)
    assert len(rows.shown) == 5
    assert rows.rest == "95 more: 6 working, 89 free"


def test_a_member_is_shown_with_what_it_spent() -> None:
    """Steps, tokens and cost, and how often it was restarted; an unknown price is no zero."""
    known = member("boss", spent=spent(12, 3400, 0.125), restarts=2)
    unknown = member("coder", spent=spent(1, 5, None), restarts=1)
    first, second = overview.members(state(known, unknown), 2).shown
    assert first[1:] == ("free (2 restarts)", "", "12", "3,400", "$0.1250")
    assert second[1:] == ("free (1 restart)", "", "1", "5", "cost unknown")


def test_only_open_tasks_are_listed() -> None:
    """Those that are worked on first; one that waits says for whom and for what."""
    tasks = [
        task("done", "done", "coder-1"),
        task("later", depends_on=("done", "now")),
        task("now", "running", "coder-2"),
    ]
    rows = overview.tasks(state(tasks=tasks), 9)
    assert rows.shown == (
        ("now", "running", "coder-2", "Do now."),
        ("later", "waiting", "for coder", "needs now · Do later."),
    )
    assert overview.tasks(state(tasks=tasks), 1).rest == "1 more: 1 waiting"
    assert overview.ledger(tasks) == "1 waiting, 1 running, 1 done"
    assert overview.ledger([]) == "none"


def test_the_whole_ledger_has_every_outcome() -> None:
    """In the order in which the tasks were assigned."""
    tasks = [task("a", "failed", "coder-1", outcome="No key."), task("b"), task("c", "cancelled")]
    assert overview.whole_ledger(state(tasks=tasks)).shown == (
        ("a", "failed", "coder-1", "No key."),
        ("b", "waiting", "for coder", "Do b."),
        ("c", "cancelled", "", "Do c."),
    )


def test_the_headline_counts_everything() -> None:
    """What the purse holds is said in the purse's own words, where it is known."""
    crew = state(member("boss"), messages={"boss>a": 2, "a>boss": 1}, steps=7, left="9 steps")
    line = overview.headline(crew)
    assert (
        line == "crew of 1 member · 7 steps · 0 tokens · $0.0000 · 3 messages sent · left: 9 steps"
    )
    assert "left" not in overview.headline(crew.model_copy(update={"left": ""}))


def test_a_cell_is_one_short_line() -> None:
    """However long a character is."""
    assert overview.cut("one\n two") == "one two"
    assert len(overview.cut("ü" * 200).encode()) <= 83
    assert overview.cut("x" * 80) == "x" * 80
