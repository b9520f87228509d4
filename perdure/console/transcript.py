"""A run's transcript as a person reads it."""

from rich.console import Console
from rich.text import Text

from perdure.console.chronicle import Event
from perdure.console.display import clean, consumption, ending, preview
from perdure.contracts import AgentResult, Usage
from perdure.store.tables import Run, StoredEntry, Turn

_LONG = 4000
_MARKS = {"result": "←", "message": "✉", "notice": "·", "task": "task:"}


class Transcript:
    """Prints a run row by row: `whole` for reading it, else a line or two for each row.

    Rows of a run below it bear the part of its id in which that differs from `top`.
    """

    def __init__(self, console: Console, *, whole: bool = False, top: str = "") -> None:
        self._console = console
        self._whole = whole
        self._top = top
        self._margin = ""

    def tell(self, event: Event) -> None:
        """What has happened to the run or to one below it."""
        child = event.run.workflow_id
        if event.what is None:
            self._line(
                f"⤷ {child} begins · {event.run.agent}: {preview(event.run.task)}", "blue", 2
            )
        elif isinstance(event.what, AgentResult):
            self._line(f"⤶ {child} {ending(event.what)}", "blue", 2)
        else:
            below = child != self._top
            self._margin = f"  {child.removeprefix(self._top)} │ " if below else ""
            self.show(event.what, event.steps_before)
            self._margin = ""

    def show(self, row: Turn | StoredEntry, steps_before: int) -> None:
        """`steps_before` the run's own: its first is step 1, as it is to `files --step`."""
        if isinstance(row, Turn):
            self._show_turn(row, row.step - steps_before)
        elif self._whole or row.kind != "task":
            self._show_entry(row)

    def _show_turn(self, turn: Turn, step: int) -> None:
        usage = Usage(
            input_tokens=turn.input_tokens,
            output_tokens=turn.output_tokens,
            cost_usd=turn.cost_usd,
        )
        head = f"step {step} · {consumption(usage)} · {turn.seconds:.1f} s · {turn.model}"
        self._line(head, "bold")
        if self._whole:
            self._line(turn.id, "dim", 2)
        if turn.thought.strip():
            self._line(self._cut(turn.thought), indent=2)
        for call in turn.calls:
            self._line(f"→ {call['tool']} {self._cut(call['arguments'])}", "cyan", 2)
        problems = [turn.problem, *(call["problem"] for call in turn.calls)]
        for problem in filter(None, problems):
            self._line(f"✗ {self._cut(problem)}", "red", 2)

    def _show_entry(self, entry: StoredEntry) -> None:
        mark = _MARKS.get(entry.kind, "·")
        outcome = "" if entry.status in {None, "ok"} else f"{entry.status}: "
        took = f" ({entry.seconds:.1f} s)" if entry.kind == "result" else ""
        style = "red" if outcome else "green" if entry.kind == "result" else "yellow"
        self._line(f"{mark} {outcome}{self._cut(entry.text)}{took}", style, 2)

    def answer(self, result: AgentResult) -> None:
        self._line(result.answer)

    def _cut(self, text: str) -> str:
        if not self._whole:
            return preview(text)
        more = len(text) - _LONG
        note = f"\n… {more:,} more characters, which --json shows" if more > 0 else ""
        return clean(text[:_LONG]).rstrip() + note

    def _line(self, text: str, style: str = "", indent: int = 0) -> None:
        start = self._margin + " " * indent
        body = clean(text).replace("\n", "\n" + start + "  ")
        self._console.print(Text(start + body, style=style), soft_wrap=True)


def heading(run: Run, status: str) -> Text:
    since = f", continues from turn {run.parent_head}" if run.parent_head else ""
    line = f"{run.workflow_id} · {run.agent} on {run.model} · {status}{since}"
    return Text(clean(line), style="bold")
