"""What a run remembers between steps: a pointer, a few counters, and what is still to be shown."""

from dataclasses import dataclass, field
from datetime import datetime

from perdure.contracts import Decision, Entry, Place, Progress, RunPlan, Spent, Usage

RECENT_STEPS = 20


@dataclass(slots=True)
class Journal:
    """Small by design: it crosses continue-as-new as `Progress`."""

    plan: RunPlan
    started: datetime
    head: str | None
    steps: int = 0
    usage: Usage = field(default_factory=Usage)
    entries: list[Entry] = field(default_factory=list)
    """Shown to the model at the next think."""
    answer: str = ""
    """The best answer so far."""
    fruitless: int = 0
    """Steps in a row that led nowhere."""
    last_step: str = ""
    """What the last step called and got, as digests."""
    recent: list[str] = field(default_factory=list)
    """The latest steps, a line each."""
    below: Spent = field(default_factory=Spent)
    """By the runs that this one delegated to, with all below them."""
    children: int = 0
    """So many it has started."""
    asked: int = 0
    """So much it has asked of its team."""
    received: int = 0
    """The number of the last parcel of its team that is among the entries, or was."""
    read: int = 0
    """The number of the last one that was shown to the model."""

    @classmethod
    def resumed(cls, progress: Progress) -> "Journal":
        return cls(
            plan=progress.plan,
            started=progress.started,
            head=progress.head,
            steps=progress.steps,
            usage=progress.usage,
            entries=list(progress.entries),
            answer=progress.answer,
            fruitless=progress.fruitless,
            last_step=progress.last_step,
            recent=list(progress.recent),
            below=progress.below,
            children=progress.children,
            asked=progress.asked,
            received=progress.received,
            read=progress.read,
        )

    def carried(self, place: Place | None) -> Progress:
        return Progress(
            plan=self.plan,
            started=self.started,
            head=self.head,
            steps=self.steps,
            usage=self.usage,
            entries=tuple(self.entries),
            answer=self.answer,
            fruitless=self.fruitless,
            last_step=self.last_step,
            recent=tuple(self.recent),
            place=place,
            below=self.below,
            children=self.children,
            asked=self.asked,
            received=self.received,
            read=self.read,
        )

    def turn(self, decision: Decision, *, counts: bool) -> None:
        """Move on to the turn that was appended: what it was shown is shown."""
        self.head = decision.head
        self.usage += decision.usage
        self.answer = decision.answer or decision.thought or self.answer
        self.entries.clear()
        self.read = self.received
        self.steps += counts

    def result(self, call: str, text: str) -> None:
        """Answer a call with words of the workflow's own."""
        self.entries.append(Entry(kind="result", call=call, text=text))

    def notice(self, text: str) -> None:
        self.entries.append(Entry(kind="notice", text=text))

    def remember(self, line: str, *, useful: bool = True, step: str = "") -> None:
        """Note what a step did; one that is of no use, or the last one over again, is fruitless."""
        repeated = step != "" and step == self.last_step
        self.fruitless = 0 if useful and not repeated else self.fruitless + 1
        self.last_step = step
        self.recent = [*self.recent, f"{self.steps}. {line}"][-RECENT_STEPS:]

    @property
    def spent(self) -> Spent:
        """By this run and all below it."""
        return Spent(steps=self.steps, usage=self.usage) + self.below

    @property
    def pending_bytes(self) -> int:
        """Size of the words that the next think is given; they cross the history."""
        return sum(len((entry.text or "").encode()) for entry in self.entries)
