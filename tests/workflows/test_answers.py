"""What a team answers to its members."""

from typing import Any

import pytest

from perdure.contracts import RunStatus
from tests.workflows.test_crew import NOW, Table, at_work
from workflows.answers import answer_waiting


@pytest.mark.parametrize(
    ("to", "reply"),
    [
        ("worker-9", "The team has no member 'worker-9'."),
        ("worker", "The team has no member 'worker'."),
        ("worker-1", "That is you"),
        ("worker-2", "worker-2 has been put out of the team: failed: it broke"),
    ],
    ids=["unknown", "a kind", "self", "out"],
)
def test_a_message_that_nobody_can_read_is_refused(to: str, reply: str) -> None:
    """The reply says why, and nothing is put into any mail."""
    table = at_work("a", "b", max_restarts=0)
    table.fail("worker-2")
    table.start()
    table.ask("send_message", by="worker-1", to=to, text="hi")
    assert not table.replies[-1].is_ok
    assert reply in table.replies[-1].text
    assert table.crew.messages == {}


def test_a_message_to_one_that_will_do_nothing_any_more_is_refused() -> None:
    """The team ends, and the member works on nothing."""
    table = at_work("a")
    table.ask("hand_over")
    table.ask("send_message", by="worker-1", to="worker-2", text="hi")
    assert not table.replies[-1].is_ok


def test_only_the_lead_leads() -> None:
    """A member that asks for what only the lead may do is told who may."""
    table = at_work("a")
    table.ask("cancel_tasks", by="worker-1", tasks=["a"])
    assert "Only chief" in table.replies[-1].text
    assert table.statuses() == ["running"]


def test_a_tool_that_the_team_does_not_know_is_refused() -> None:
    """As when a worker is newer than the team's: the team is not wedged."""
    table = at_work("a")
    table.ask("dance")
    assert not table.replies[-1].is_ok


def test_more_messages_than_a_mailbox_holds_are_refused() -> None:
    """The sender is told to try later."""
    table = Table()
    table.start()
    for _ in range(200):
        table.ask("send_message", to="worker-1", text="hi")
    table.ask("send_message", to="worker-1", text="hi")
    assert not table.replies[-1].is_ok
    assert table.crew.mail["worker-1"].count == 200


def test_a_lead_cannot_finish_with_open_tasks() -> None:
    """It is told which, and may cancel them."""
    table = at_work("a", "b", "c")
    table.ask("finish")
    assert "tasks are open: a, b, c" in table.replies[-1].text
    table.ask("cancel_tasks", tasks=["a", "b", "c"])
    assert table.replies[-1].text == "Cancelled: a, b, c. worker-1, worker-2 will stop."
    table.ask("finish")
    assert table.replies[-1].is_ok


def test_a_lead_cannot_finish_before_it_has_read_its_mail() -> None:
    """A message that was accepted is read."""
    table = Table()
    table.start()
    table.crew.tell("chief", "One more thing.")
    table.ask("finish")
    assert not table.replies[-1].is_ok
    assert not table.crew.is_ending
    table.ask("finish", read=2)
    assert table.replies[-1].is_ok


def test_cancelling_stops_those_at_work_and_counts_as_nobodys_failure() -> None:
    """They are free for other tasks when their runs have stopped."""
    table = at_work("a", "b")
    table.ask("cancel_tasks", tasks=["a"])
    assert [each.name for each in table.crew.stops()] == ["worker-1"]
    table.end("worker-1", RunStatus.CANCELLED, "The run was cancelled.")
    assert table.crew.members["worker-1"].failures == ()
    table.assign("c")
    assert table.start()["worker-1"].restarted == ""


def test_a_task_cancelled_while_its_member_was_to_be_restarted_is_not_begun_again() -> None:
    """Neither when its run has stopped already, nor when it stops later."""
    table = at_work("a", "b", strategy="one_for_all")
    table.fail("worker-2")
    table.crew.stops()
    table.ask("cancel_tasks", tasks=["a", "b"])
    table.end("worker-1", RunStatus.CANCELLED, "The run was cancelled.")
    assert table.start() == {}
    assert {each.standing for each in table.crew.members.values()} == {"working", "free"}
    table.assign("c")
    assert list(table.start()) == ["worker-1"]


def test_waiting_ends_when_the_tasks_have() -> None:
    """The news has each result once, and what ended besides."""
    table = at_work("a", "b")
    table.ask("wait_for_tasks", tasks=["a"])
    table.end("worker-2")
    assert table.crew.waiting is not None
    table.end("worker-1")
    table.deliver()
    news = table.replies[-1]
    assert [line.split(" · ")[0] for line in news.text.splitlines()[:2]] == ["a", "b"]
    assert len(news.quotes) == 2
    table.ask("wait_for_tasks")
    assert table.replies[-1].text == "No task is open: assign some, or finish."


def test_the_lead_is_told_at_once_of_tasks_that_fail_before_they_begin() -> None:
    """As when the budget is used up: no signal tells of it."""
    table = at_work(*"abc", members=1, max_restarts=0)
    table.ask("wait_for_tasks")
    table.fail("worker-1")
    answer_waiting(table.crew, NOW)
    assert table.crew.waiting is None


def test_arguments_of_another_form_are_refused() -> None:
    """A worker of another version may send them: the team goes on, and says what is wrong."""
    table = at_work("a", "b")
    forms: list[tuple[str, dict[str, Any]]] = [
        ("send_message", {}),
        ("send_message", {"to": ["x"]}),
        ("assign", {"tasks": 5}),
        ("assign", {"tasks": ["a"]}),
        ("assign", {"tasks": [{"id": "c", "to": "worker", "task": 5}]}),
        ("cancel_tasks", {}),
    ]
    for tool, arguments in forms:
        table.ask(tool, **arguments)
        assert not table.replies[-1].is_ok
        assert f"The arguments of {tool} do not fit" in table.replies[-1].text
