"""What a person sees: runs, transcripts and tables, in colour on a terminal and plain elsewhere."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.table import Table
from rich.text import Text

from perdure.contracts import AgentResult, RunStatus, Usage
from perdure.store.tables import Run, StoredEntry, Turn

_PREVIEW = 200
_LONG = 4000
_WIDE = 1000
# Whatever a terminal may take for a command: control characters, and those that turn the
# direction of writing.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """The text with every character that could control a terminal made visible."""
    return _UNSAFE.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n"))


def preview(text: str, characters: int = _PREVIEW) -> str:
    """The text's beginning on one line."""
    line = " ".join(clean(text[: 4 * characters]).split())
    return line if len(line) <= characters else f"{line[: characters - 1]}…"


def to_json(data: Any) -> str:
    """JSON that is safe on a terminal as well."""
    text = json.dumps(to_jsonable_python(data), ensure_ascii=False, indent=2)
    return re.sub(r"[\x7f-\x9f\u202a-\u202e\u2066-\u2069]", lambda c: f"\\u{ord(c[0]):04x}", text)


def results() -> Console:
    return _console(stderr=False)


def progress() -> Console:
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if is_terminal else _WIDE
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=width)


def cost(usage: Usage) -> str:
    return "cost unknown" if usage.cost_usd is None else f"${usage.cost_usd:.4f}"


def consumption(usage: Usage) -> str:
    return f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out · {cost(usage)}"


class Transcript:
    """Prints a run row by row: `whole` for reading it, else a line or two for each row."""

    def __init__(self, console: Console, *, whole: bool = False) -> None:
        self._console = console
        self._whole = whole

    def show(self, row: Turn | StoredEntry) -> None:
        if isinstance(row, Turn):
            self._show_turn(row)
        elif self._whole or row.kind != "task":
            self._show_entry(row)

    def _show_turn(self, turn: Turn) -> None:
        usage = Usage(
            input_tokens=turn.input_tokens,
            output_tokens=turn.output_tokens,
            cost_usd=turn.cost_usd,
        )
        head = f"step {turn.step} · {consumption(usage)} · {turn.seconds:.1f} s · {turn.model}"
        self._line(head, style="bold")
        if self._whole:
            self._line(turn.id, style="dim", indent=2)
        if turn.thought.strip():
            self._line(self._cut(turn.thought), indent=2)
        for call in turn.calls:
            self._line(f"→ {call['tool']} {self._cut(call['arguments'])}", style="cyan", indent=2)
        problems = [turn.problem, *(call["problem"] for call in turn.calls)]
        for problem in filter(None, problems):
            self._line(f"✗ {self._cut(problem)}", style="red", indent=2)

    def _show_entry(self, entry: StoredEntry) -> None:
        mark = {"result": "←", "message": "✉", "notice": "·", "task": "task:"}.get(entry.kind, "·")
        outcome = "" if entry.status in {None, "ok"} else f"{entry.status}: "
        took = f" ({entry.seconds:.1f} s)" if entry.kind == "result" else ""
        style = "red" if outcome else "green" if entry.kind == "result" else "yellow"
        self._line(f"{mark} {outcome}{self._cut(entry.text)}{took}", style=style, indent=2)

    def _cut(self, text: str) -> str:
        if not self._whole:
            return preview(text)
        more = len(text) - _LONG
        note = f"\n… {more:,} more characters, which --json shows" if more > 0 else ""
        return clean(text[:_LONG]).rstrip() + note

    def _line(self, text: str, *, style: str = "", indent: int = 0) -> None:
        body = clean(text).replace("\n", "\n" + " " * (indent + 2))
        self._console.print(Text(" " * indent + body, style=style), soft_wrap=True)


def ending(result: AgentResult) -> Text:
    """One line that says how a run ended."""
    good = result.status == RunStatus.COMPLETED
    steps = "1 step" if result.steps == 1 else f"{result.steps} steps"
    line = f"{result.status} after {steps} · {consumption(result.usage)}"
    reason = f"\n{clean(result.reason)}" if result.reason else ""
    return Text(line + reason, style="bold green" if good else "bold red")


def heading(run: Run, status: str) -> str:
    since = f", continues from turn {run.parent_head}" if run.parent_head else ""
    return f"{run.workflow_id} · {run.agent} on {run.model} · {status}{since}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold" if column == columns[-1] else "ellipsis")
    for row in rows:
        grid.add_row(*(Text(preview(cell)) for cell in row))
    return grid
