"""Attacks by a command that goes on while something else is done in its sandbox."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from perdure.errors import ToolError
from perdure.sandbox.inside.pieces import digest
from perdure.sandbox.sandbox import Command, SandboxError
from tests.sandbox.attacks.canary import SECRET
from tests.sandbox.attacks.probe import python, shell
from tests.sandbox.attacks.target import Target

_ROUNDS = 12

# By renameat2 with RENAME_EXCHANGE, so that there is always one of the two.
_SWAP = python("""
    folder, number = os.environ["CANARY_FOLDER"], {"x86_64": 316}.get(os.uname().machine, 276)
    for name in ("d", "other"):
        os.makedirs(f"{name}/deeper")
        for place in (f"{name}/file", f"{name}/deeper/file"):
            open(place, "w").write("harmless")
    os.symlink(folder, "link")
    os.symlink(f"{folder}/file", "link-to-file")
    open("swapped-file", "w").write("harmless")
    while True:
        call(number, -100, b"d", -100, b"link", 2)
        call(number, -100, b"swapped-file", -100, b"link-to-file", 2)
""", seconds=15)  # fmt: skip

ASKED: list[tuple[str, dict[str, Any]]] = [
    ("read_file", {"path": "d/file", "offset": 1, "limit": 9}),
    ("read_file", {"path": "swapped-file", "offset": 1, "limit": 9}),
    ("read_bytes", {"path": "d/deeper/file", "limit": 99}),
    ("read_bytes", {"path": "swapped-file", "limit": 99}),
    ("tail_file", {"path": "d/file", "lines": 9}),
    ("list_files", {"path": ".", "pattern": "*", "depth": 4}),
    ("search_files", {"path": ".", "pattern": "sk-", "glob": "*"}),
    ("write_file", {"path": "d/written", "key": "k"}),
]


@asynccontextmanager
async def meanwhile(target: Target, command: Command) -> AsyncIterator[None]:
    """While this command runs; it is stopped at the end."""
    running = asyncio.create_task(target.run(command))
    await asyncio.sleep(0.3)
    assert not running.done()
    yield
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(("operation", "arguments"), ASKED, ids=lambda each: str(each)[:28])
async def test_no_operation_follows_what_is_swapped_for_a_link(
    target: Target, operation: str, arguments: dict[str, Any]
) -> None:
    """Between the look at a path and its use, it may become a link to the host."""
    answers = []
    async with meanwhile(target, _SWAP):
        for _ in range(_ROUNDS):
            try:
                answers.append(await target.shim.operate(operation, arguments, b"written"))
            except ToolError as refused:
                answers.append((str(refused), b""))
    assert SECRET not in str(answers)


async def test_no_checkpoint_follows_what_is_swapped_for_a_link(target: Target) -> None:
    """Neither the look at what has changed, nor the reading of it."""
    paths = ["d/file", "d/deeper/file", "swapped-file", "link/file", "link-to-file"]
    wanted = [(path, 0, len(SECRET)) for path in paths]
    entries: list[Any] = []
    contents = b""
    async with meanwhile(target, _SWAP):
        for _ in range(_ROUNDS):
            seen = await target.shim.changes(None)
            assert seen is not None
            entries += seen[1].values()
            contents += await target.shim.pieces(wanted)
    assert digest(SECRET.encode()) not in str(entries)
    assert SECRET.encode() not in contents
    assert b"harmless" in contents


async def test_no_restoring_follows_what_is_swapped_for_a_link(target: Target) -> None:
    """What is written and what modes are set stays inside; the fixture looks at the host."""
    entry = ["f", 0o777, 1, 7, [digest(b"written")]]
    places = ["d/file", "d/deeper/file", "swapped-file"]
    asked = {
        "make": {place: entry for place in places},
        "write": [[place, 0, 7] for place in places],
        "settle": {**{place: entry for place in places}, "d": ["d", 0o777]},
    }
    async with meanwhile(target, _SWAP):
        for _ in range(_ROUNDS):
            with suppress(ToolError, SandboxError):
                await target.shim.operate("restore", asked, b"written" * 3)


async def test_an_operation_that_is_killed_is_an_error_and_no_more(target: Target) -> None:
    """In a container the agent's user may signal what is done to its files in its name."""
    kill = shell("while :; do kill -9 -1; done", seconds=10)
    asked = {"path": ".", "pattern": "*", "depth": 1}
    async with meanwhile(target, kill):
        for _ in range(_ROUNDS):
            with suppress(SandboxError):
                await target.shim.operate("list_files", asked)
    assert await target.shim.operate("list_files", asked)


async def test_nothing_of_an_operation_can_be_taken_over(target: Target) -> None:
    """Its memory and its files are not open to the agent, though it has the agent's user."""
    look = python("""
        while True:
            for pid in others():
                for name in ("mem", "environ", "fd/1"):
                    try:
                        open(f"/proc/{pid}/{name}", "rb+", buffering=0)
                        if name != "environ":
                            print("DONE", pid, name, open(f"/proc/{pid}/cmdline").read())
                    except OSError: pass
    """, seconds=10)  # fmt: skip
    shown = bytearray()
    running = asyncio.create_task(target.shim.run("taken-over", look, shown.extend))
    for _ in range(_ROUNDS):
        await target.shim.changes(None)
        await target.shim.operate("list_files", {"path": ".", "pattern": "*", "depth": 1})
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert b"DONE" not in shown


@pytest.mark.slow
async def test_a_locked_workspace_is_said(target: Target) -> None:
    """A command can hold the lock that writers take."""
    hold = python("import fcntl; fcntl.flock(os.open('.', 0), 2); time.sleep(40)")
    async with meanwhile(target, hold):
        with pytest.raises(ToolError, match="locked by another program"):
            await target.shim.operate("write_file", {"path": "x", "key": "k"}, b"x")
