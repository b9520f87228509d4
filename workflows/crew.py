"""A team's state: who works on what, what was said, what was spent. Pure, so that it can be read.

Signals change it, by the rules of `answers` and `endings`; then `staffing.starts`, `deliveries` and
`stops` say what has to be done in the world.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from perdure.contracts import (
    AgentResult,
    Answer,
    Delivery,
    Parcel,
    Place,
    Quote,
    Spent,
)
from perdure.teams.contracts import (
    Mail,
    MemberPlan,
    MemberState,
    TaskStatus,
    TeamPlan,
    TeamProgress,
)
from workflows.ledger import Ledger
from workflows.listing import beginning
from workflows.mailbox import Mailbox
from workflows.purse import Purse

MOST_UNREAD = 200
"""So many messages may wait for one member."""
MOST_UNREAD_BYTES = 400_000
"""Of all members together: they cross continue-as-new, and payloads end at 2 MB."""
PARCEL_BYTES = 400
"""Of a parcel beside its text."""
REASON_BYTES = 500
MOST_EDGES = 5000
"""So many pairs of members that write to each other are counted one by one."""


class Crew:
    """The lead, the members, their ledger, mail and purse."""

    def __init__(
        self, team_id: str, plan: TeamPlan, started: datetime, progress: TeamProgress | None
    ) -> None:
        self.team_id = team_id
        self.plan = plan
        self.lead = plan.lead.name
        self.plans = {each.name: each for each in (plan.lead, *plan.members)}
        self.roster = [each.name for each in plan.members]
        states = progress.members if progress else map(_new, self.plans.values())
        self.members = {each.name: each for each in states}
        mail = progress.mail if progress else {}
        self.mail = {
            name: Mailbox(mail[name]) if name in mail else Mailbox() for name in self.members
        }
        self.ledger = Ledger(progress.tasks if progress else ())
        self.purse = (
            Purse(plan.limits, started, progress.spent, progress.reserved)
            if progress
            else Purse(plan.limits, started)
        )
        self.messages = dict(progress.messages) if progress else {}
        self.waiting = progress.waiting if progress else None
        self.words = progress.words if progress else 0
        self.is_paused = progress.paused if progress else False
        self.is_ending = False
        """No run is started any more."""
        self.result: AgentResult | None = None
        """The lead's, when it has ended."""

    def carried(self, place: Place | None) -> TeamProgress:
        """What the next run of the team's workflow goes on with."""
        return TeamProgress(
            plan=self.plan,
            started=self.purse.started,
            members=tuple(self.members.values()),
            mail={name: box.mail for name, box in self.mail.items() if box.mail != Mail()},
            tasks=self.ledger.tasks,
            spent=self.purse.spent,
            reserved=self.purse.reserved,
            waiting=self.waiting,
            messages=self.messages,
            words=self.words,
            place=place,
            paused=self.is_paused,
        )

    # What is known

    @property
    def at_work(self) -> list[MemberState]:
        """The members that have an open run, the lead first."""
        return [each for each in self.members.values() if each.is_at_work]

    @property
    def shown(self) -> tuple[MemberState, ...]:
        """The members as they are shown outside, the lead first."""
        return tuple(
            each.model_copy(update={"unshown": ()}) if each.unshown else each
            for each in self.members.values()
        )

    @property
    def spent(self) -> Spent:
        """By all runs, those that are open as far as is known."""
        return sum((each.spent for each in self.members.values()), Spent())

    @property
    def doing(self) -> str:
        every = len(self.ledger.tasks)
        over = every - len(self.ledger.open)
        return f"{len(self.at_work)} at work, {over} of {every} tasks over"

    @property
    def idle(self) -> list[MemberState]:
        return [self.members[n] for n in self.roster if self.members[n].standing == "free"]

    def alive(self, kind: str) -> list[MemberState]:
        return [self.members[n] for n in self.roster if self._is(n, kind)]

    def _is(self, name: str, kind: str) -> bool:
        member = self.members[name]
        return member.kind == kind and member.standing != "out"

    def set(self, name: str, **changes: Any) -> MemberState:
        if "reason" in changes:
            changes["reason"] = beginning(changes["reason"], REASON_BYTES)
        self.members[name] = self.members[name].model_copy(update=changes)
        return self.members[name]

    def count_message(self, sender: str, receiver: str) -> None:
        edge = f"{sender}>{receiver}"
        if edge not in self.messages and len(self.messages) >= MOST_EDGES:
            edge = "others>others"
        self.messages[edge] = self.messages.get(edge, 0) + 1

    def has_no_room(self, name: str) -> str | None:
        """Why no message can be put into the member's mail; None where one can."""
        if self.mail[name].count >= MOST_UNREAD:
            return f"{name} has {MOST_UNREAD} messages to read. Send it this one later."
        boxes = self.mail.values()
        if sum(box.size + box.count * PARCEL_BYTES for box in boxes) > MOST_UNREAD_BYTES:
            return "Too many messages of the team are unread. Send this one later."
        return None

    def tell(self, name: str, text: str, *quotes: Quote) -> None:
        """Give the member a message in the team's own words."""
        self.words += 1
        key = f"{self.plan.run}:{self.words}"
        self.mail[name].put(Parcel(kind="message", text=text, quotes=quotes, key=key))

    # What happens

    def give_up(self, member: MemberState, reason: str) -> None:
        """End the member's task with what its last run has left."""
        if member.task:
            self.ledger.fail(member.task, reason, member.run)
        self.set(member.name, task="", then="", reason=reason)

    def ask_to_end(self, reason: str) -> None:
        """Have the members say their last words, and begin nothing new."""
        self._begin_nothing()
        for name in self.roster:
            if self.members[name].standing == "working":
                self.mail[name].put(Parcel(kind="end", text=reason))

    def dismiss(self, reason: str, *, but: str = "") -> None:
        """Have everyone stop, and begin nothing new."""
        self._begin_nothing()
        for member in self.at_work:
            if member.standing == "working" and member.name != but:
                self.set(member.name, then="drop", reason=reason)

    def _begin_nothing(self) -> None:
        self.is_ending = True
        for member in self.idle:
            self.give_up(member, member.reason)
        waiting = [each.id for each in self.ledger.open if each.status == TaskStatus.WAITING]
        self.ledger.cancel(waiting, "the team ended before it was begun")

    # What has to be done

    def deliveries(self) -> Iterable[tuple[str, Delivery]]:
        """What is to be sent to runs that are open, by member."""
        for member in self.at_work:
            if unsent := self.mail[member.name].unsent:
                first, parcels = unsent
                yield member.name, Delivery(first=first, parcels=parcels)

    def stops(self) -> list[MemberState]:
        """Those whose runs are to be cancelled; each is noted as stopping."""
        wanted = [each for each in self.at_work if each.then and each.standing == "working"]
        return [self.set(each.name, standing="stopping") for each in wanted]

    def results(self, ids: Iterable[str]) -> tuple[Quote, ...]:
        """The whole results of tasks, for the model to read."""
        tasks = [self.ledger.task(id) for id in ids]
        return tuple(
            Quote(text=Answer(run=task.run), label=f"[{task.id}, by {task.member}]")
            for task in tasks
            if task.run is not None
        )


def _new(plan: MemberPlan) -> MemberState:
    return MemberState(name=plan.name, kind=plan.kind, model=plan.model)
