"""Editing: a piece of a file's text is replaced, if the file is still what the plan was made of."""

from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from . import place as places
from .files import save
from .refusal import explained
from .text import check_size, decoded, whole


@dataclass(frozen=True, slots=True)
class Plan:
    """What an edit would do to the file as it is now."""

    before: str
    """Digest of the file."""
    after: str | None
    """Digest of the file once edited; None if there is a problem."""
    count: int
    problem: str | None
    """Why the edit cannot be made, as a sentence for the model."""


def plan_edit(root: Path, *, path: str, old: str, new: str, replace_all: bool) -> dict[str, Any]:
    """The `Plan` of replacing `old`, which occurs once unless `replace_all`, by `new`."""
    place = places.resolve(root, path)
    with explained("edited", path):
        plan, _ = _planned(whole(place, path), path, old, new, replace_all)
    return asdict(plan)


def edit_file(
    root: Path, *, path: str, old: str, new: str, replace_all: bool, before: str, key: str
) -> dict[str, Any]:
    """Make the edit if the file's digest is `before`; its `Plan`, and whether it is `made`."""
    with explained("edited", path), places.alone(root):
        place = places.resolve(root, path)
        plan, edited = _planned(whole(place, path), path, old, new, replace_all)
        made = plan.problem is None and plan.before == before
        if made:
            save(place, path, edited, key=key)
    return asdict(plan) | {"made": made}


def _planned(data: bytes, path: str, old: str, new: str, replace_all: bool) -> tuple[Plan, bytes]:
    text, count = _replaced(decoded(data, path), old, new, path)
    problem = _problem(path, count, replace_all)
    edited = text.encode()
    return Plan(_digest(data), None if problem else _digest(edited), count, problem), edited


def _replaced(text: str, old: str, new: str, path: str) -> tuple[str, int]:
    """The text after the edit, and how often `old` occurs in it before."""
    if old not in text and "\r\n" in text:  # models write plain line ends
        old, new = _windows(old), _windows(new)
    count = text.count(old)
    check_size(len(text) + count * (len(new) - len(old)), path)
    return text.replace(old, new), count


def _windows(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def _problem(path: str, count: int, replace_all: bool) -> str | None:
    if count == 0:
        return f"The text in 'old' does not occur in {path}; copy it exactly from read_file."
    if count > 1 and not replace_all:
        return (
            f"The text in 'old' occurs {count} times in {path}; "
            "take more lines around it, or set replace_all."
        )
    return None


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()
