"""The choice: which rule fits the path that was asked for, and where."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from perdure.tools.commands.project.folder import Folder
from perdure.tools.commands.project.formatters import FORMATTERS, LOOSE_FORMATTERS
from perdure.tools.commands.project.rule import Rule
from perdure.tools.commands.project.testers import LOOSE_TESTERS, TESTERS

REFUSED = 78
"""Exit code when nothing was run; a sentence says why, without a choice in brackets before it."""
PURPOSES = {"test": (TESTERS, LOOSE_TESTERS), "format": (FORMATTERS, LOOSE_FORMATTERS)}
_DEEPEST = 2
_TEST_FOLDERS = ("tests", "test")
_NOT_ENTERED = frozenset({"node_modules", "target", "vendor", "venv", "dist", "build"})


class Refused(Exception):
    """Nothing can be run; says why to the model."""


class Choice(NamedTuple):
    """What was chosen: a rule, the folder to run it in, and the file that was the reason."""

    rule: Rule
    folder: Folder
    sign: str

    def command(self) -> tuple[str, Sequence[str]]:
        """The program to become, and its arguments."""
        argv = self.rule.argv(self.folder)
        program = self.folder.program(argv[0])
        if program is None:
            raise Refused(
                f"{self.sign} asks for {argv[0]}, and the sandbox has no program of that name. "
                "Install it, or use execute_shell with another one."
            )
        return program, argv


def choose(root: Path, asked: str, rules: Sequence[Rule], loose: Sequence[Rule]) -> Choice:
    """The rule of the nearest project at or above `asked`; else the only one below it."""
    path, _, test = asked.partition("::")
    place = Path(os.path.normpath(root / path))
    if root not in (place, *place.parents):
        raise Refused(f"'{asked}' leads out of the workspace.")
    if not place.exists():
        raise Refused(f"'{asked}' does not exist in the workspace.")
    if place.is_file():
        rules, loose = _speaking(rules, place), _speaking(loose, place)
    start = place.parent if place.is_file() else place
    found = (
        _above(root, start, rules)
        or _loosely(root, place, loose)
        or _below(root, start, [*rules, *loose])
    )
    if found is None:
        raise Refused(_nothing(asked, [*rules, *loose]))
    part = os.path.relpath(place, found.folder.place)
    whole = "" if part == "." or found.folder.place not in (place, *place.parents) else part
    return found._replace(folder=Folder(found.folder.place, f"{whole}::{test}" if test else whole))


def _speaking(rules: Sequence[Rule], file: Path) -> Sequence[Rule]:
    """The rules for files of this kind."""
    return [rule for rule in rules if file.suffix and file.suffix in rule.suffixes.split()]


def _fitting(folder: Folder, rules: Sequence[Rule]) -> Choice | None:
    signs = ((rule, rule.sign(folder)) for rule in rules)
    return next((Choice(rule, folder, sign) for rule, sign in signs if sign), None)


def _above(root: Path, start: Path, rules: Sequence[Rule]) -> Choice | None:
    places = [place for place in (start, *start.parents) if root in (place, *place.parents)]
    return next(filter(None, (_fitting(Folder(place), rules) for place in places)), None)


def _loosely(root: Path, place: Path, rules: Sequence[Rule]) -> Choice | None:
    """Without a project: from where the code that is tested can be imported."""
    if place.is_file():
        return Choice(rules[0], Folder(_home(root, place)), place.name) if rules else None
    found = _fitting(Folder(place), rules)
    return found and found._replace(folder=Folder(_home(root, place / found.sign)))


def _home(root: Path, file: Path) -> Path:
    """The folder that holds the folder of tests with `file`; the workspace if there is none."""
    within = [place for place in file.parents if root in place.parents]
    return next((place.parent for place in within if place.name in _TEST_FOLDERS), root)


def _below(root: Path, start: Path, rules: Sequence[Rule]) -> Choice | None:
    found = list(_projects(start, rules, _DEEPEST))
    if len(found) > 1:
        names = ", ".join(str(each.folder.place.relative_to(root)) for each in found)
        raise Refused(f"There are several projects: {names}. Give one of them as path.")
    return found[0] if found else None


def _projects(start: Path, rules: Sequence[Rule], levels: int) -> Iterator[Choice]:
    for place in sorted(start.glob("*")):
        if place.name.startswith(".") or place.name in _NOT_ENTERED or not _can_enter(place):
            continue
        if found := _fitting(Folder(place), rules):
            yield found
        elif levels > 1:
            yield from _projects(place, rules, levels - 1)


def _can_enter(place: Path) -> bool:
    return place.is_dir() and os.access(place, os.R_OK | os.X_OK)


def _nothing(asked: str, rules: Sequence[Rule]) -> str:
    names = ", ".join(rule.name for rule in rules) or "nothing that is known for such a file"
    return (
        f"Nothing at, above or below '{asked}' says what to run. Looked for: {names}. "
        "Use execute_shell with the right command."
    )


def main() -> NoReturn:
    """Become what was chosen for `sys.argv[1:]`: a purpose and a path."""
    purpose, asked = sys.argv[1:]
    root = Path.cwd()
    try:
        chosen = choose(root, asked, *PURPOSES[purpose])
        program, argv = chosen.command()
    except Refused as refused:
        sys.stdout.write(f"{refused}\n")
        sys.exit(REFUSED)
    place = chosen.folder.place.relative_to(root)
    sys.stdout.write(f"[{shlex.join(argv)} in {place}, because of {chosen.sign}]\n")
    sys.stdout.flush()
    os.chdir(chosen.folder.place)
    # By its path: Python knows its environment by where it was called.
    os.execv(program, [program, *argv[1:]])
