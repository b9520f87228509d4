"""The commands that look at a run's recorded files and fetch them; they start nothing."""

import asyncio
import stat
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import typer
from sqlalchemy.exc import DBAPIError

from perdure.console.comparison import Difference, shown, visible
from perdure.console.destination import CannotPull, Destination, Drafts, repository_of
from perdure.console.differences import differences
from perdure.console.display import print_json, say
from perdure.console.recorded import run_with_files
from perdure.errors import StoreError
from perdure.plain_text import storable
from perdure.sandbox.files.writing import writing
from perdure.sandbox.inside.index import Entries, Entry
from perdure.settings import Settings
from perdure.store.files import Files
from perdure.store.reader import reading
from perdure.store.tables import Run

_NAMED = 5
_KINDS = {"f": "file", "l": "link", "d": "folder"}
_TYPES = {"f": stat.S_IFREG, "l": stat.S_IFLNK, "d": stat.S_IFDIR}
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


async def files(settings: Settings, run_id: str, step: int | None, *, as_json: bool) -> int:
    """Print the files as they were after that step, or as they were last."""
    async with _recorded(settings, run_id) as (recorded, run):
        entries = await _state(recorded, run, step)
    if as_json:
        print_json(
            [{"path": storable(path), **_described(entries[path])} for path in sorted(entries)]
        )
        return 0
    for path in sorted(entries):
        print(_listed(path, entries[path]))
    sizes = [entry[3] for entry in entries.values() if entry[0] == "f"]
    say(f"{_count(len(sizes), 'file')}, {sum(sizes):,} bytes")
    return 0


async def diff(
    settings: Settings, run_id: str, start: int | None, end: int | None, *, as_json: bool
) -> int:
    """Print what changed from one step to another: from before the first to the last."""
    found = []
    async with _recorded(settings, run_id) as (recorded, run):
        before = await _state(recorded, run, start or 0)
        after = await _state(recorded, run, end)
        async for difference in differences(recorded, before, after):
            if as_json:
                found.append(_compared(difference))
            else:
                _print(difference)
    if as_json:
        print_json(found)
    return 0


async def pull(
    settings: Settings, run_id: str, folder: Path, step: int | None, *, force: bool
) -> int:
    """Write the files into `folder`; nothing is overwritten unless by `force`."""
    async with _recorded(settings, run_id) as (recorded, run):
        entries = await _state(recorded, run, step)
        try:
            target = await asyncio.to_thread(Destination.open, folder, entries)
            if target.conflicts and not force:
                say(_refusal(target))
                return 1
            await _write(recorded, target)
        except OSError as error:
            raise CannotPull(
                f"The files cannot all be written into {str(folder)!r}: {error}. Each that is"
                " there is whole. Look at its permissions and at its disk's free space."
            ) from error
    _report(target, entries)
    return 0


async def _write(recorded: Files, target: Destination) -> None:
    # Not in a thread, which would go on for a while after Ctrl-C.
    target.clear()
    with closing(Drafts(target.root, target.wanted)) as drafts:
        async for arguments, data in writing(recorded, drafts.entries):
            drafts.write(arguments, data)


@asynccontextmanager
async def _recorded(settings: Settings, run_id: str) -> AsyncIterator[tuple[Files, Run]]:
    async with reading(settings) as store:
        run = await run_with_files(store, run_id)
        try:
            yield Files(store), run
        except DBAPIError as error:
            message = (
                f"The files of run '{run_id}' cannot be read from the store: {error.orig}. A"
                " worker of this version brings an older database up to date when it starts."
            )
            raise StoreError(message) from error


async def _state(recorded: Files, run: Run, step: int | None) -> Entries:
    point = await (recorded.last(run.id) if step is None else recorded.at(run.id, step))
    return await recorded.entries(point)


def _described(entry: Entry) -> dict[str, Any]:
    kind = {"kind": _KINDS[entry[0]]}
    match entry:
        case ["l", target]:
            return {**kind, "target": storable(target)}
        case ["f", mode, modified, size, _]:
            return {**kind, "mode": f"{mode:04o}", "size": size, "modified_ns": modified}
        case _:
            return {**kind, "mode": f"{entry[1]:04o}"}


def _listed(path: str, entry: Entry) -> str:
    mode = stat.filemode(_TYPES[entry[0]] | (0o777 if entry[0] == "l" else entry[1]))
    size = f"{entry[3]:,}" if entry[0] == "f" else ""
    target = f" -> {shown(entry[1])}" if entry[0] == "l" else ""
    return f"{mode} {size:>13} {shown(path)}{target}"


def _print(difference: Difference) -> None:
    for line in difference.lines():
        typer.secho(visible(line), fg=_COLOURS.get(line[:1]))


def _compared(difference: Difference) -> dict[str, Any]:
    sides = {"before": difference.before, "after": difference.after}
    return {
        "path": storable(difference.path),
        "change": difference.change,
        **{name: side and _described(side.entry) for name, side in sides.items()},
        "diff": "\n".join(difference.lines()),
    }


def _refusal(target: Destination) -> str:
    conflicts = target.conflicts
    named = ", ".join(shown(path) for path in conflicts[:_NAMED])
    more = f" and {len(conflicts) - _NAMED:,} more" if len(conflicts) > _NAMED else ""
    return (
        f"Nothing is written: {target.root} has other content, or a repository, at {named}{more}."
        " Give another folder, or --force to overwrite."
    )


def _report(target: Destination, entries: Entries) -> None:
    written, every = (
        Counter(entry[0] for entry in each.values()) for each in (target.wanted, entries)
    )
    links = f" and {_count(written['l'], 'link')}" if written["l"] else ""
    there = sum((every - written)[kind] for kind in "fl")
    same = f"; {there:,} were there already" if there else ""
    say(f"Wrote {_count(written['f'], 'file')}{links} into {target.root}{same}.")
    if any(map(repository_of, target.wanted)):
        say("The agent could write its .git: look at hooks and config there before you use git.")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
