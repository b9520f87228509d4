"""What is done to the files: in a child process, as the agent's own user."""

import os
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from . import changes, child, enclosure, frames
from .operations import OPERATIONS, Refused

_OPERATION_SECONDS = 60.0
_SCAN_SECONDS = 600.0
"""All files are read when a state is recorded for the first time."""

WORKSPACE = Path("/workspace")
"""Where bubblewrap shows the files."""

Config = dict[str, Any]
_Reply = tuple[dict[str, Any], bytes]


def launch(folder: str) -> list[str]:
    """The arguments that make a Python this program; `folder` is the one that holds `inside`."""
    start = f"import sys; sys.path.insert(0, {folder!r}); from inside.program import main; main()"
    return ["-ISE", "-c", start]


async def operate(config: Config, request: dict[str, Any], data: bytes) -> _Reply:
    """The reply to an operation and its arguments: `value`, `refused` or `failed`, and data."""
    if config["enclosure"] == "bwrap":
        work: Callable[[], bytes] = partial(_enclose, config, frames.encode(request, data))
    else:
        work = partial(_as_agent, config, perform, Path(config["root"]), request, data)
    return await child.ask(work, _OPERATION_SECONDS)


async def scan(config: Config, index: changes.Index) -> _Reply:
    """The reply whose value is how the files differ from `index`."""
    # On the host for bubblewrap too: it follows no link, so that it needs no enclosure.
    return await child.ask(partial(_as_agent, config, _scan, config, index), _SCAN_SECONDS)


async def pieces(config: Config, wanted: list[tuple[str, int, int]]) -> _Reply:
    """The reply whose data are these parts of files, one after the other."""
    return await child.ask(partial(_as_agent, config, _pieces, config, wanted), _SCAN_SECONDS)


def perform(root: Path, request: dict[str, Any], data: bytes) -> bytes:
    """The frame that answers an operation on the files in `root`."""
    operation = OPERATIONS.get(request["operation"])
    if operation is None:
        known = ", ".join(OPERATIONS)
        sentence = f"The operation {request['operation']!r} is unknown to this sandbox: {known}."
        return frames.encode({"failed": sentence})
    return _answer(partial(operation, root, request["arguments"], data))


def _as_agent(config: Config, work: Callable[..., bytes], *arguments: Any) -> bytes:
    enclosure.drop(config)
    return work(*arguments)


def _enclose(config: Config, request: bytes) -> NoReturn:
    source = os.memfd_create("request")
    with os.fdopen(source, "wb", closefd=False) as stream:
        stream.write(request)
    os.lseek(source, 0, os.SEEK_SET)
    os.dup2(source, 0)
    enclosure.execute(config, [enclosure.python(), *launch(enclosure.INSIDE), "operate"], {})


def _scan(config: Config, index: changes.Index) -> bytes:
    return _answer(lambda: (changes.scan(Path(config["root"]), index), b""))


def _pieces(config: Config, wanted: list[tuple[str, int, int]]) -> bytes:
    return _answer(lambda: (None, changes.pieces(Path(config["root"]), wanted)))


def _answer(work: Callable[[], tuple[Any, bytes]]) -> bytes:
    try:
        value, data = work()
        return frames.encode({"value": value}, data)
    except Refused as refusal:
        return frames.encode({"refused": str(refusal)})
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller waits for an answer
        traceback.print_exc()
        return frames.encode({"failed": f"It broke in the sandbox: {error!r}."})
