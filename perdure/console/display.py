"""What a person sees on either stream: colours on a terminal, plain lines elsewhere."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.table import Table
from rich.text import Text

from perdure.contracts import AgentResult, RunStatus, Usage

_PREVIEW = 200
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


def print_json(data: Any) -> None:
    """JSON on standard output, safe on a terminal as well."""
    text = json.dumps(to_jsonable_python(data), ensure_ascii=False, indent=2)
    # The line breaks between the parts are ours; JSON has escaped all those inside.
    safe = _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    print(safe, flush=True)


def say(text: str) -> None:
    """A word on standard error."""
    print(clean(text), file=sys.stderr, flush=True)


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


def ending(result: AgentResult) -> Text:
    """One line that says how a run ended."""
    good = result.status == RunStatus.COMPLETED
    steps = "1 step" if result.steps == 1 else f"{result.steps} steps"
    line = f"{result.status} after {steps} · {consumption(result.usage)}"
    reason = f"\n{clean(result.reason)}" if result.reason else ""
    return Text(line + reason, style="bold green" if good else "bold red")


def print_result(
    run_id: str, result: AgentResult, web_ui: str | None, more: Mapping[str, Any] | None
) -> None:
    """How the run ended on standard error, its answer on standard output.

    With `more`, which JSON is to tell besides, the output is JSON.
    """
    progress().print(ending(result), soft_wrap=True)
    if more is not None:
        print_json({"id": run_id, "web_ui": web_ui, **result.model_dump(mode="json"), **more})
    elif result.answer:
        print(clean(result.answer), flush=True)


def got_by(run_id: str, files: int) -> str:
    """How a run's files are looked at and taken out."""
    what = "1 file" if files == 1 else f"{files:,} files"
    return f"{what}: starter.py files {run_id} lists, starter.py pull {run_id} DIR writes them"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold" if column == columns[-1] else "ellipsis")
    for row in rows:
        grid.add_row(*(Text(preview(cell)) for cell in row))
    return grid
