"""Attacks by a command that goes on while something else is done in its sandbox."""

import asyncio
from contextlib import suppress
from typing import Any

from perdure.errors import ToolError
from perdure.sandbox.inside.pieces import digest
from perdure.sandbox.sandbox import SandboxError
from tests.sandbox.attacks.canary import SECRET
from tests.sandbox.attacks.probe import python, shell
from tests.sandbox.attacks.target import Target

_ROUNDS = 6

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


async def test_no_operation_follows_what_is_swapped_for_a_link(target: Target) -> None:
    """Between the look at a path and its use, it may become a link to the host."""
    answers: list[Any] = []
    async with target.during(_SWAP):
        for _ in range(_ROUNDS):
            asked = [target.shim.operate(*each, b"written") for each in ASKED]
            answers += await asyncio.gather(*asked, return_exceptions=True)
    assert {type(each) for each in answers} == {tuple, ToolError}, answers
    assert SECRET not in str(answers)
    assert "harmless" in str(answers)


async def test_no_checkpoint_follows_what_is_swapped_for_a_link(target: Target) -> None:
    """Neither the look at what has changed, nor the reading of it."""
    paths = ["d/file", "d/deeper/file", "swapped-file", "link/file", "link-to-file"]
    wanted = [(path, 0, len(SECRET)) for path in paths]
    entries: list[Any] = []
    contents = b""
    async with target.during(_SWAP):
        for _ in range(_ROUNDS):
            seen = await target.shim.changes(None)
            assert seen is not None
            entries += seen.changes.values()
            contents += await target.shim.pieces(wanted)
    assert digest(SECRET.encode()) not in str(entries)
    assert SECRET.encode() not in contents
    assert b"harmless" in contents


async def test_no_restoring_follows_what_is_swapped_for_a_link(target: Target) -> None:
    """What is written and what modes are set stays inside; the fixture looks at the host."""
    entry = ["f", 0o777, 1, 7, [digest(b"written")]]
    places = ["d/file", "d/deeper/file", "swapped-file"]
    asked = {
        "make": dict.fromkeys(places, entry),
        "write": [[place, 0, 7] for place in places],
        "settle": {**dict.fromkeys(places, entry), "d": ["d", 0o777]},
    }
    async with target.during(_SWAP):
        for _ in range(_ROUNDS):
            with suppress(ToolError, SandboxError):
                await target.shim.operate("restore", asked, b"written" * 3)


async def test_an_operation_that_is_killed_is_an_error_and_no_more(target: Target) -> None:
    """In a container the agent's user may signal what is done to its files in its name."""
    kill = shell("while :; do kill -9 -1; done", seconds=10)
    asked = {"path": ".", "pattern": "*", "depth": 1}
    async with target.during(kill):
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
    async with target.during(look):
        for _ in range(_ROUNDS):
            await target.shim.changes(None)
            await target.shim.operate("list_files", {"path": ".", "pattern": "*", "depth": 1})
    assert b"DONE" not in target.shown
