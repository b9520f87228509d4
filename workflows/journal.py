"""What a run remembers between steps: a pointer, a few counters, and what is still to be shown."""

from dataclasses import dataclass, field
from datetime import datetime

from perdure.contracts import Decision, Entry, Progress, RunPlan, Usage

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
    recent: list[str] = field(default_factory=list)
    """The latest steps, a line each."""

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
            recent=list(progress.recent),
        )

    def carried(self) -> Progress:
        return Progress(
            plan=self.plan,
            started=self.started,
            head=self.head,
            steps=self.steps,
            usage=self.usage,
            entries=tuple(self.entries),
            answer=self.answer,
            fruitless=self.fruitless,
            recent=tuple(self.recent),
        )

    def turn(self, decision: Decision, *, counts: bool) -> None:
        """Move on to the turn that was appended: what it was shown is shown."""
        self.head = decision.head
        self.usage += decision.usage
        self.answer = decision.answer or decision.thought or self.answer
        self.entries.clear()
        self.steps += counts

    def result(self, call: str, text: str) -> None:
        """Answer a call with words of the workflow's own."""
        self.entries.append(Entry(kind="result", call=call, text=text))

    def notice(self, text: str) -> None:
        self.entries.append(Entry(kind="notice", text=text))

    def remember(self, line: str, *, useful: bool) -> None:
        """Note what a step did; one that is useless, or just like the last one, is fruitless."""
        repeated = bool(self.recent) and self.recent[-1].partition(". ")[2] == line
        self.fruitless = 0 if useful and not repeated else self.fruitless + 1
        self.recent = [*self.recent, f"{self.steps}. {line}"][-RECENT_STEPS:]
