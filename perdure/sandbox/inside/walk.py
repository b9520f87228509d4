"""The tree of files under a folder, walked in order and without following a link, and listed."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePath

from . import place as places
from .refusal import Refused, explained

DEEPEST = 32
"""Levels of folders that any walk goes down."""
CLOSED = frozenset({".git", ".hg", ".pytest_cache", ".venv", "__pycache__", "node_modules"})
"""Folders that are shown and not entered: large, and seldom what an agent looks for."""
LISTED = 300
SEEN = 20_000
"""So many files and folders are looked at for one listing."""


@dataclass(frozen=True, slots=True)
class Node:
    """One file, folder or link."""

    path: PurePath
    """Relative to the folder where the walk began."""
    entry: os.DirEntry[str]
    depth: int

    @property
    def is_folder(self) -> bool:
        return self.entry.is_dir(follow_symlinks=False)

    @property
    def is_file(self) -> bool:
        return self.entry.is_file(follow_symlinks=False)


def walk(folder: Path, depth: int) -> Iterator[Node]:
    """Everything down to `depth` levels under `folder`, each folder before what it holds.

    Raises:
        OSError: `folder` cannot be read; folders under it that cannot are shown without content.
    """
    yield from _walk(folder, PurePath(), 1, depth)


def _walk(folder: Path, path: PurePath, level: int, depth: int) -> Iterator[Node]:
    for entry in _entries(folder):
        node = Node(path / entry.name, entry, level)
        yield node
        if node.is_folder and level < depth and entry.name not in CLOSED:
            with suppress(OSError):
                yield from _walk(folder / entry.name, node.path, level + 1, depth)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def fits(path: PurePath, pattern: str) -> bool:
    """Whether a relative path fits a glob: one without `/` is about the name, in any folder.

    `*` stays within one name and `**` stands for any number of folders, as in most shells.
    """
    parts = tuple(part for part in pattern.split("/") if part not in {"", "."})
    return _fits(path.parts, parts if "/" in pattern else ("**", *parts))


@lru_cache(maxsize=4096)  # keeps patterns with many ** from trying the same split again and again
def _fits(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        while pattern[1:2] == ("**",):
            pattern = pattern[1:]
        return _fits(parts, pattern[1:]) or (bool(parts) and _fits(parts[1:], pattern))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])


def list_files(root: Path, *, path: str, pattern: str, depth: int) -> str:
    """What is in the folder `path` down to `depth` levels and fits the glob `pattern`."""
    place = places.resolve(root, path)
    base = PurePath(places.name(root, place))
    with explained("listed", path):
        if place.is_file():
            raise Refused(f"{path!r} is a file; read_file shows it.")
        nodes = list(islice(walk(place, depth), SEEN))
    fitting = [node for node in nodes if fits(node.path, pattern)]
    rows = [_row(base, node) for node in fitting[:LISTED]]
    return "\n".join([*rows, *_notes(nodes, fitting, depth)])


def _row(base: PurePath, node: Node) -> str:
    name = str(base / node.path)
    if node.is_folder:
        return f"{name}/ (not entered)" if node.entry.name in CLOSED else f"{name}/"
    if node.entry.is_symlink():
        return f"{name} (link)"
    return name if node.is_file else f"{name} (not a regular file)"


def _notes(nodes: list[Node], fitting: list[Node], depth: int) -> Iterator[str]:
    """What a listing does not show."""
    if not fitting:
        yield "[Nothing fits.]" if nodes else "[The folder is empty.]"
    if len(fitting) > LISTED:
        yield f"[{len(fitting) - LISTED} more; give a narrower path or pattern, or less depth.]"
    if len(nodes) == SEEN:
        yield f"[Only the first {SEEN} files and folders were looked at; give a narrower path.]"
    if deeper := sum(node.is_folder and node.depth == depth for node in nodes):
        yield f"[{deeper} folders at depth {depth} were not entered.]"
