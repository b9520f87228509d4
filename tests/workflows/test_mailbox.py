"""Every message is read once and in order, whatever happens to deliveries, runs and the team."""

from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from perdure.contracts import Delivery, Parcel
from perdure.teams.contracts import Mail
from workflows.mailbox import Inbox, Mailbox


def make_parcel(text: str, kind: str = "message") -> Parcel:
    return Parcel.model_validate({"kind": kind, "text": text})


def make_delivery(first: int, *texts: str) -> Delivery:
    return Delivery(first=first, parcels=tuple(make_parcel(text) for text in texts))


def texts(parcels: tuple[Parcel, ...]) -> list[str]:
    return [parcel.text for parcel in parcels]


@dataclass
class Run:
    """One run of the member."""

    inbox: Inbox
    pending: list[Parcel]
    """Taken in, and not yet shown to the model."""
    read: int
    network: list[Delivery] = field(default_factory=list)
    """On their way to it."""
    is_over: bool = False


class MailOfMember(RuleBasedStateMachine):
    """One member's mail, over many runs and a network that delays, doubles and reorders."""

    @initialize()
    def begin(self) -> None:
        self.mailbox = Mailbox()
        self.put: list[Parcel] = []
        self.shown: list[tuple[Parcel, Run]] = []
        self.alone: dict[str, Run] = {}
        """What is no message, and the run that it is for."""
        self.run: Run | None = None

    # The team

    @rule()
    def send_a_message(self) -> None:
        self._put("message")

    @precondition(lambda self: self.run and not self.run.is_over)
    @rule(kind=st.sampled_from(["reply", "pause", "resume", "end"]))
    def send_something_to_this_run_alone(self, kind: str) -> None:
        assert self.run is not None
        self.alone[self._put(kind).text] = self.run

    @precondition(lambda self: self.run and self.mailbox.unsent)
    @rule()
    def deliver(self) -> None:
        assert self.run is not None and self.mailbox.unsent is not None
        first, parcels = self.mailbox.unsent
        self.mailbox.sent(first + len(parcels) - 1)
        assert self.mailbox.unsent is None
        self.run.network.append(Delivery(first=first, parcels=parcels))

    @precondition(lambda self: self.run is None)
    @rule()
    def start_a_run(self) -> None:
        received, parcels = self.mailbox.start()
        assert self.mailbox.unsent is None
        self.run = Run(Inbox(received + len(parcels)), list(parcels), received)

    @precondition(lambda self: self.run and self.run.is_over)
    @rule()
    def take_in_the_report(self) -> None:
        assert self.run is not None
        self.mailbox.ended(self.run.read)
        self.run = None

    @precondition(lambda self: self.run)
    @rule()
    def take_in_what_was_read(self) -> None:
        assert self.run is not None
        self.mailbox.read(self.run.read)

    @rule()
    def continue_the_team_as_new(self) -> None:
        self.mailbox = Mailbox(Mail.model_validate_json(self.mailbox.mail.model_dump_json()))

    # The member's run

    @precondition(lambda self: self.run and self.run.network)
    @rule(data=st.data(), again=st.booleans())
    def arrive(self, data: st.DataObject, again: bool) -> None:
        run = self.run
        assert run is not None
        delivery = data.draw(st.sampled_from(run.network))
        if not again:
            run.network.remove(delivery)
        if not run.is_over:
            run.pending.extend(run.inbox.take(delivery))

    @precondition(lambda self: self.run and not self.run.is_over)
    @rule()
    def think(self) -> None:
        run = self.run
        assert run is not None
        self.shown.extend((parcel, run) for parcel in run.pending)
        run.pending.clear()
        run.read = run.inbox.received

    @precondition(lambda self: self.run and not self.run.inbox.has_gap)
    @rule()
    def continue_the_run_as_new(self) -> None:
        assert self.run is not None
        self.run.inbox = Inbox(self.run.inbox.received)

    @precondition(lambda self: self.run)
    @rule()
    def end_the_run(self) -> None:
        assert self.run is not None
        self.run.is_over = True

    # What always holds

    @invariant()
    def what_was_shown_came_in_order_and_once(self) -> None:
        numbers = [int(parcel.text) for parcel, _ in self.shown]
        assert numbers == sorted(set(numbers))
        messages = [number for number in numbers if str(number) not in self.alone]
        wanted = [int(each.text) for each in self.put if each.kind == "message"]
        assert messages == wanted[: len(messages)]

    @invariant()
    def what_is_for_one_run_is_shown_to_no_other(self) -> None:
        for parcel, run in self.shown:
            assert self.alone.get(parcel.text, run) is run

    def teardown(self) -> None:
        """At last everything arrives: then every message was read, and all for this run alone."""
        if self.run and self.run.is_over:
            self.take_in_the_report()
        if self.run is None:
            self.start_a_run()
        assert self.run is not None
        if self.mailbox.unsent:
            self.deliver()
        for delivery in reversed(self.run.network):
            self.run.pending.extend(self.run.inbox.take(delivery))
        self.think()
        awaited = [each for each in self.put if self.alone.get(each.text, self.run) is self.run]
        shown = [parcel for parcel, _ in self.shown]
        assert [each for each in shown if each in awaited] == awaited
        assert not self.run.inbox.has_gap
        self.mailbox.ended(self.run.read)
        assert self.mailbox.count == self.mailbox.size == 0

    def _put(self, kind: str) -> Parcel:
        parcel = make_parcel(str(len(self.put)), kind)
        self.put.append(parcel)
        self.mailbox.put(parcel)
        return parcel


class TestMailOfMember(MailOfMember.TestCase):  # type: ignore[valid-type, misc]  # hypothesis makes it
    """However things interleave, each message is read once and in order, whoever runs."""


def test_an_early_delivery_waits_for_the_one_before_it() -> None:
    """There is never a gap in what a run has taken in."""
    inbox = Inbox(received=4)
    assert inbox.take(make_delivery(7, "c")) == ()
    assert inbox.has_gap and inbox.received == 4
    assert texts(inbox.take(make_delivery(5, "a", "b"))) == ["a", "b", "c"]
    assert not inbox.has_gap and inbox.received == 7


@pytest.mark.parametrize(
    ("delivery", "new"),
    [
        (make_delivery(1, "a", "b"), []),
        (make_delivery(2, "b", "c"), ["c"]),
        (make_delivery(1, "a", "b", "c", "d"), ["c", "d"]),
    ],
    ids=["all of it", "its beginning", "in the middle"],
)
def test_what_came_before_is_not_taken_again(delivery: Delivery, new: list[str]) -> None:
    """A delivery may repeat parcels of an earlier one."""
    inbox = Inbox()
    inbox.take(make_delivery(1, "a", "b"))
    assert texts(inbox.take(delivery)) == new


def test_a_run_begins_with_the_messages_that_wait() -> None:
    """Without what was for the run before; they count as sent, numbered after what was read."""
    mailbox = Mailbox()
    for parcel in (make_parcel("a"), make_parcel("b", "reply"), make_parcel("c")):
        mailbox.put(parcel)
    mailbox.sent(3)
    mailbox.ended(read=1)
    mailbox.put(make_parcel("d"))
    received, parcels = mailbox.start()
    assert (received, texts(parcels)) == (1, ["c", "d"])
    assert mailbox.unsent is None
    mailbox.put(make_parcel("e"))
    assert mailbox.unsent == (4, (make_parcel("e"),))


def test_what_was_never_sent_cannot_have_been_read() -> None:
    """A report of more than was sent loses nothing that waits."""
    mailbox = Mailbox()
    mailbox.put(make_parcel("a"))
    mailbox.ended(read=5)
    assert texts(mailbox.start()[1]) == ["a"]


def test_a_mailbox_knows_how_much_waits() -> None:
    """In parcels, in bytes of their texts, and whether a message is among them."""
    mailbox = Mailbox()
    mailbox.put(make_parcel("ä", "reply"))
    assert not mailbox.has_messages
    mailbox.put(make_parcel("bc"))
    assert mailbox.has_messages
    assert (mailbox.count, mailbox.size) == (2, 4)
