"""Attacks on the operations on files: by paths, by what lies there, and by names."""

import asyncio
from typing import Any

import pytest

from perdure.errors import ToolError
from perdure.sandbox.sandbox import Command, SandboxError
from tests.sandbox.attacks.canary import SECRET
from tests.sandbox.attacks.probe import python, shell
from tests.sandbox.attacks.target import Target

_EDIT = {"old": "a", "new": "b", "replace_all": False}

OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    ("read_file", {"offset": 1, "limit": 100}),
    ("read_bytes", {"limit": 1000}),
    ("tail_file", {"lines": 10}),
    ("list_files", {"pattern": "*", "depth": 3}),
    ("search_files", {"pattern": ".", "glob": "*"}),
    ("write_file", {"key": "k"}),
    ("plan_edit", _EDIT),
    ("edit_file", {**_EDIT, "before": "", "key": "k"}),
]
READS = [each for each in OPERATIONS if each[0] not in {"write_file", "list_files"}]

_LINKS = """
    ln -s $CANARY_FILE file; ln -s $CANARY_FOLDER folder; ln -s / root; ln -s .. up
    ln -s /proc/self/root proc; ln -s $STATE state; ln -s /dev/zero device; ln -s file chain
    mkdir d; ln -s ../../../../../../../../..$CANARY_FILE d/dots
"""
_PATHS = (
    "file", "folder", "folder/file", "folder/deeper/file", "root/etc/passwd", "up", "up/etc",
    "proc/etc/passwd", "state/config.json", "state", "device", "chain", "d/dots",
    "../../etc/passwd", "d/../../x", "/etc/passwd", "/proc/self/environ", "/dev/zero",
)  # fmt: skip


@pytest.mark.parametrize(("operation", "arguments"), OPERATIONS, ids=lambda each: str(each)[:12])
async def test_no_path_leads_out_of_the_workspace(
    target: Target, operation: str, arguments: dict[str, Any]
) -> None:
    """Neither by a link, nor by dots, nor from the root: each is refused in a sentence."""
    await target.run(shell(_LINKS))
    asked = [target.shim.operate(operation, {"path": path, **arguments}) for path in _PATHS]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [ToolError] * len(_PATHS), answers
    assert SECRET not in str(answers)


@pytest.mark.parametrize(("operation", "arguments"), READS, ids=lambda each: str(each)[:12])
async def test_what_is_no_file_is_not_waited_for(
    target: Target, operation: str, arguments: dict[str, Any]
) -> None:
    """Pipes, sockets and folders are refused; nothing blocks."""
    await target.run(
        python("os.mkfifo('pipe'); socket.socket(socket.AF_UNIX).bind('socket'); os.mkdir('d')")
    )
    async with asyncio.timeout(5):
        for path in ("pipe", "socket"):
            try:
                said, data = await target.shim.operate(operation, {"path": path, **arguments})
            except ToolError:
                continue
            assert operation == "search_files" and data == b"" and "No line" in said


async def test_a_file_that_is_leased_is_not_waited_for(target: Target) -> None:
    """Who leases a file can make others wait for 45 seconds when they open it."""
    hold = python("""
        import fcntl
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        file = os.open("leased", os.O_RDWR | os.O_CREAT)
        fcntl.fcntl(file, 1024, fcntl.F_WRLCK)
        time.sleep(20)
    """)
    async with target.during(hold), asyncio.timeout(5):
        with pytest.raises(ToolError, match="'leased'"):
            await target.shim.operate("read_bytes", {"path": "leased", "limit": 10})
        await target.shim.changes(None)


async def test_names_that_are_no_text_are_listed(target: Target) -> None:
    """Bytes that are not UTF-8, line ends, control characters, options and commands."""
    await target.run(
        python(r"""
            for name in (b"\xff\xfe", b"a\nb", b"\x1b[2J", b"-rf", b"$(id)", b" ", b"\xe2\x80\xae"):
                open(name, "wb").write(b"found")
        """)
    )
    asked = {"path": ".", "pattern": "*", "depth": 1}
    said, _ = await target.shim.operate("list_files", asked)
    assert "\udcff\udcfe" in said and "-rf" in said
    _, data = await target.shim.operate("read_bytes", {"path": "\udcff\udcfe", "limit": 10})
    assert data == b"found"
    found, _ = await target.shim.operate("search_files", {"path": ".", "pattern": "f", "glob": "*"})
    assert found.count(": found") == 7


@pytest.mark.slow
async def test_a_pattern_cannot_search_for_ever(target: Target) -> None:
    """One that tries every way to divide a line is given up."""
    await target.run(shell("head -c 200 /dev/zero | tr '\\0' a > line; echo b >> line"))
    async with asyncio.timeout(8):
        said, _ = await target.shim.operate(
            "search_files", {"path": ".", "pattern": "(a|aa)+$", "glob": "*"}
        )
    assert "Out of time" in said


async def test_holes_and_endless_lines_are_read_within_bounds(target: Target) -> None:
    """A file may look far larger than what it takes of the disk."""
    await target.run(shell("truncate -s 60M hole; head -c 30M /dev/zero | tr '\\0' x > line"))
    async with asyncio.timeout(20):
        with pytest.raises(ToolError, match="binary"):
            await target.shim.operate("read_file", {"path": "hole", "offset": 1, "limit": 5})
        said, _ = await target.shim.operate("read_file", {"path": "line", "offset": 1, "limit": 5})
        assert len(said) < 3000
        tail, _ = await target.shim.operate("tail_file", {"path": "line", "lines": 5})
        assert len(tail) < 3000


async def test_modules_of_the_workspace_are_not_imported(target: Target) -> None:
    """Operations are carried out by Python as well, which looks for none of its own there."""
    await target.run(
        python("""
            names = ("json", "os", "re", "asyncio", "encodings", "sitecustomize", "usercustomize",
                     "conftest", "inside", "signal", "stat", "socket", "ctypes")
            for folder in (".", os.environ["HOME"], "/tmp"):
                for name in names:
                    text = "open('/workspace/executed', 'w').write('x')"
                    open(f"{folder}/{name}.py", "w").write(text)
                for name in ("python3", "env", "sh", "git"):
                    open(f"{folder}/{name}", "w").write("#!/bin/sh\\ntouch /workspace/executed")
                    os.chmod(f"{folder}/{name}", 0o755)
                open(f"{folder}/pyvenv.cfg", "w").write(f"home = {folder}")
                open(f"{folder}/evil.pth", "w").write("import os; os.mknod('/workspace/executed')")
                open(f"{folder}/.pythonrc", "w").write("open('executed', 'w')")
        """)
    )
    for operation, arguments in READS[:4]:
        await target.shim.operate(operation, {"path": "os.py", **arguments})
    await target.shim.operate("write_file", {"path": "new", "key": "k"}, b"new")
    await target.shim.changes(None)
    listed, _ = await target.shim.operate(
        "list_files", {"path": ".", "pattern": "executed", "depth": 1}
    )
    assert "Nothing fits" in listed
    await target.run(shell("rm -rf $HOME/* 2> /dev/null"))


@pytest.mark.parametrize(
    "step", ["../forged", "a/../../b", "/etc/x", ".hidden", "", "a\0b", "a\nb"]
)
async def test_a_step_cannot_name_another_place(target: Target, step: str) -> None:
    """Its id is the name of a folder."""
    with pytest.raises(SandboxError, match="cannot name a folder"):
        await target.shim.run(step, Command(("true",)), lambda _: None)


async def test_an_unknown_operation_is_refused(target: Target) -> None:
    """What a worker of another version asks for is no reason to break."""
    with pytest.raises(SandboxError, match="unknown to this sandbox"):
        await target.shim.operate("execute", {})
