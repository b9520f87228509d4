"""The operations on a sandbox's files, by name: what its tools and its checkpoints ask for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .edit import edit_file, plan_edit
from .files import read_bytes, read_file, tail_file, write_file
from .refusal import Refused
from .restore import restore
from .search import search_files
from .walk import list_files

__all__ = ["OPERATIONS", "Operation", "Refused"]

Operation = Callable[[Path, dict[str, Any], bytes], tuple[Any, bytes]]
"""Takes the workspace, arguments and data; gives a plain JSON value and data, or is `Refused`."""


def _asking(function: Callable[..., Any]) -> Operation:
    """One that neither takes nor gives data."""
    return lambda root, arguments, _: (function(root, **arguments), b"")


def _taking(function: Callable[..., Any]) -> Operation:
    return lambda root, arguments, data: (function(root, data=data, **arguments), b"")


def _giving(function: Callable[..., bytes]) -> Operation:
    return lambda root, arguments, _: (None, function(root, **arguments))


OPERATIONS: dict[str, Operation] = {
    "read_file": _asking(read_file),
    "read_bytes": _giving(read_bytes),
    "tail_file": _asking(tail_file),
    "list_files": _asking(list_files),
    "search_files": _asking(search_files),
    "write_file": _taking(write_file),
    "plan_edit": _asking(plan_edit),
    "edit_file": _asking(edit_file),
    "restore": restore,
}
