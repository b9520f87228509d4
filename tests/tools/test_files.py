"""The file tools, on real files."""

import asyncio
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from perdure.errors import ToolError
from perdure.sandbox.folder import Folder
from perdure.sandbox.inside.files import PAGE
from perdure.sandbox.inside.search import MATCHES
from perdure.sandbox.inside.text import LARGEST, LONGEST_LINE
from perdure.sandbox.inside.walk import LISTED
from perdure.tools.files import (
    TOOLS,
    edit_file,
    list_files,
    read_file,
    search_files,
    write_file,
)
from perdure.tools.tool import Tool, ToolContext


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class Desk:
    """A sandbox and the durable record of begun calls, as the worker would give them."""

    def __init__(self, place: Path) -> None:
        self.root = place / "workspace"
        self.sandbox = Folder(place)
        self.begun: dict[str, dict[str, Any]] = {}

    async def call(self, tool: Tool, *, key: str = "key", **arguments: Any) -> str:
        """Call as the model does: with JSON."""

        async def begin(detail: dict[str, Any]) -> dict[str, Any] | None:
            earlier = self.begun.get(key)
            self.begun.setdefault(key, detail)
            return earlier

        context = ToolContext("run", key, self.sandbox, show=lambda _: None, begin=begin)
        return await tool.call(context, tool.check(json.dumps(arguments)))

    async def refusal(self, tool: Tool, **arguments: Any) -> str:
        with pytest.raises(ToolError) as refused:
            await self.call(tool, **arguments)
        return str(refused.value)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty workspace, with a secret beside it."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "workspace").mkdir()
    return Desk(tmp_path)


@pytest.fixture
def odd(desk: Desk) -> Desk:
    """A workspace with things that must not be opened."""
    os.mkfifo(desk.root / "pipe")
    (desk.root / "folder").mkdir()
    (desk.root / "out").symlink_to("../secret")
    (desk.root / "loop").symlink_to("loop")
    return desk


MORE = {
    "write_file": {"content": "x"},
    "edit_file": {"old": "secret", "new": "x"},
    "search_files": {"pattern": "secret"},
}
"""What the tools need beside a path."""


@pytest.mark.parametrize("tool", TOOLS)
async def test_no_tool_leaves_the_workspace(odd: Desk, tool: Tool) -> None:
    """Not by name, not by link."""
    for path in ("../secret", str(odd.root.parent / "secret"), "out"):
        assert f"Path '{path}'" in await odd.refusal(tool, path=path, **MORE.get(tool.name, {}))
    assert (odd.root.parent / "secret").read_text() == "secret"


@pytest.mark.parametrize("tool", [read_file, write_file, edit_file, search_files])
async def test_no_tool_opens_a_pipe(odd: Desk, tool: Tool) -> None:
    """It would wait for ever for somebody to write."""
    refusal = await odd.refusal(tool, path="pipe", **MORE.get(tool.name, {}))
    assert refusal == "'pipe' is not a regular file, and tools open no others."


async def test_read_a_file(desk: Desk) -> None:
    """The text as it is, line ends included, so that a piece of it can be edited."""
    (desk.root / "a").write_bytes("ä\r\nb".encode())
    assert await desk.call(read_file, path="a") == "ä\r\nb"


async def test_read_some_lines(desk: Desk) -> None:
    """What is left is counted, and how to go on is said."""
    (desk.root / "a").write_text("".join(f"{number}\n" for number in range(1, 11)))
    shown = await desk.call(read_file, path="a", offset=3, limit=2)
    assert shown == "3\n4\n[6 more lines; read on with offset=5.]"
    assert await desk.call(read_file, path="a", offset=9) == "9\n10\n"
    assert await desk.call(read_file, path="a", offset=99) == "[a has 10 lines.]"
    assert await desk.call(read_file, path="a", offset=10**30) == "[a has 10 lines.]"


async def test_an_empty_file_is_said_to_be_empty(desk: Desk) -> None:
    """An empty result would look like a mistake."""
    (desk.root / "a").touch()
    assert await desk.call(read_file, path="a") == "[a is empty.]"


async def test_a_large_file_is_read_in_pages(desk: Desk) -> None:
    """However many lines are asked for."""
    (desk.root / "a").write_text("x" * 99 + "\n" + ("y" * 99 + "\n") * 49_999)
    shown = await desk.call(read_file, path="a", limit=100_000)
    assert len(shown) < PAGE + 200
    assert shown.endswith(f"[{50_000 - PAGE // 100} more lines; read on with offset=241.]")


async def test_a_long_line_is_cut(desk: Desk) -> None:
    """A file of one line of many megabytes fits into neither memory nor the model."""
    (desk.root / "a").write_text("x" * 200_000 + "\nshort\n")
    left = 200_000 - LONGEST_LINE
    shown = await desk.call(read_file, path="a")
    assert shown == "x" * LONGEST_LINE + f"… [{left} more characters in this line]\nshort\n"


async def test_bytes_that_are_not_text(desk: Desk) -> None:
    """A binary file is refused; a stray byte is shown as what it is."""
    (desk.root / "image").write_bytes(b"\x89PNG\0\0")
    (desk.root / "latin").write_bytes(b"caf\xe9")
    assert "binary file" in await desk.refusal(read_file, path="image")
    assert await desk.call(read_file, path="latin") == "caf\\xe9"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("none", "'none' does not exist in the workspace; list_files shows what there is."),
        ("folder", "'folder' is a folder; list_files shows what it holds."),
        ("", "'' is a folder; list_files shows what it holds."),
        ("loop", "'loop' is not a regular file, and tools open no others."),
    ],
)
async def test_what_cannot_be_read_is_explained(odd: Desk, path: str, sentence: str) -> None:
    """In sentences that say what to do instead."""
    assert await odd.refusal(read_file, path=path) == sentence


async def test_write_a_new_file(desk: Desk) -> None:
    """Folders are made as needed, and nothing else is left."""
    wrote = await desk.call(write_file, path="a/b/c.txt", content="grüße\n")
    assert wrote == "Wrote 6 characters to a/b/c.txt."
    assert (desk.root / "a/b/c.txt").read_text() == "grüße\n"
    assert names(desk.root / "a/b") == {"c.txt"}


async def test_writing_keeps_the_mode(desk: Desk) -> None:
    """A script stays executable."""
    (desk.root / "run.sh").touch(0o755)
    await desk.call(write_file, path="run.sh", content="exit 0")
    assert (desk.root / "run.sh").stat().st_mode & 0o777 == 0o755


async def test_writing_through_a_link_keeps_the_link(desk: Desk) -> None:
    """The file that it points to is written."""
    (desk.root / "link").symlink_to("file")
    await desk.call(write_file, path="link", content="x")
    assert (desk.root / "link").is_symlink()
    assert (desk.root / "file").read_text() == "x"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("folder", "'folder' is a folder"),
        ("", "'' is a folder"),
        ("file/x", "'file/x' cannot be written: "),
    ],
)
async def test_what_cannot_be_written_is_explained(odd: Desk, path: str, sentence: str) -> None:
    """The file system's refusal is a result like any other."""
    (odd.root / "file").touch()
    assert sentence in await odd.refusal(write_file, path=path, content="x")


async def test_the_longest_name_can_be_written(desk: Desk) -> None:
    """The draft's name is no longer than the file's."""
    await desk.call(write_file, path="x" * 255, content="x")
    assert names(desk.root) == {"x" * 255}


async def test_edit_a_file(desk: Desk) -> None:
    """One exact occurrence is replaced."""
    (desk.root / "a").write_text("one two")
    assert await desk.call(edit_file, path="a", old="two", new="2") == "Replaced 1 occurrence in a."
    assert (desk.root / "a").read_text() == "one 2"


async def test_edit_every_occurrence(desk: Desk) -> None:
    """Only when the model says so."""
    (desk.root / "a").write_text("a a a")
    many = await desk.refusal(edit_file, path="a", old="a", new="b")
    assert "occurs 3 times in a" in many
    done = await desk.call(edit_file, key="2", path="a", old="a", new="b", replace_all=True)
    assert done == "Replaced 3 occurrences in a."
    assert (desk.root / "a").read_text() == "b b b"


async def test_windows_line_ends_are_kept(desk: Desk) -> None:
    """Models write plain ones."""
    (desk.root / "a").write_bytes(b"one\r\ntwo\r\n")
    await desk.call(edit_file, path="a", old="one\ntwo", new="1\n2")
    assert (desk.root / "a").read_bytes() == b"1\r\n2\r\n"


async def test_what_cannot_be_edited_is_explained(desk: Desk) -> None:
    """A missing text, a missing file, an empty text, a file of other bytes, one too large."""
    (desk.root / "a").write_text("x" * 1000)
    (desk.root / "latin").write_bytes(b"caf\xe9")
    with (desk.root / "large").open("wb") as large:
        large.truncate(LARGEST + 1)
    assert "does not occur in a" in await desk.refusal(edit_file, path="a", old="y", new="z")
    assert "does not exist" in await desk.refusal(edit_file, path="b", old="y", new="z")
    assert "'old'" in await desk.refusal(edit_file, path="a", old="", new="z")
    assert "not UTF-8" in await desk.refusal(edit_file, path="latin", old="y", new="z")
    assert "too large" in await desk.refusal(edit_file, path="large", old="y", new="z")
    growth = {"old": "x", "new": "y" * 100_000, "replace_all": True}
    assert "too large" in await desk.refusal(edit_file, path="a", **growth)


async def test_an_edit_that_was_made_is_not_made_again(desk: Desk) -> None:
    """A retry after a crash finds the file as the edit left it, and says the same."""
    (desk.root / "a").write_text("a b")
    again: dict[str, Any] = {"path": "a", "old": "a", "new": "aa", "replace_all": True}
    first = await desk.call(edit_file, **again)
    assert await desk.call(edit_file, **again) == first
    assert (desk.root / "a").read_text() == "aa b"


async def test_an_edit_that_was_only_begun_is_made(desk: Desk) -> None:
    """The worker was killed between the record and the change."""
    (desk.root / "a").write_text("a b")
    await desk.call(edit_file, path="a", old="a", new="c")
    (desk.root / "a").write_text("a b")
    await desk.call(edit_file, path="a", old="a", new="c")
    assert (desk.root / "a").read_text() == "c b"


async def test_an_edit_of_unknown_outcome_is_not_repeated(desk: Desk) -> None:
    """Something else has changed the file since; only the model can tell."""
    (desk.root / "a").write_text("a b")
    await desk.call(edit_file, path="a", old="a", new="aa")
    (desk.root / "a").write_text("aa b and more")
    assert "it is unknown" in await desk.refusal(edit_file, path="a", old="a", new="aa")
    assert (desk.root / "a").read_text() == "aa b and more"


async def test_parallel_edits_of_one_file_are_all_made(desk: Desk) -> None:
    """The calls of one reply run at once."""
    (desk.root / "a").write_text(" ".join(f"<{number}>" for number in range(10)))
    edits = [
        desk.call(edit_file, key=str(number), path="a", old=f"<{number}>", new=str(number))
        for number in range(10)
    ]
    await asyncio.gather(*edits)
    assert (desk.root / "a").read_text() == "0 1 2 3 4 5 6 7 8 9"


class Slow(Folder):
    """A sandbox that is reached late: meanwhile, another worker has made the edit."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._edited = place / "workspace/a"

    async def operate(
        self, operation: str, arguments: dict[str, Any], data: bytes = b""
    ) -> tuple[Any, bytes]:
        if operation == "edit_file":
            self._edited.write_text("aa b and more")
            await asyncio.sleep(3.1)
        return await super().operate(operation, arguments, data)


async def test_an_attempt_that_was_held_up_edits_nothing_unplanned(desk: Desk) -> None:
    """A frozen worker must not make an edit again that another made in its place."""
    (desk.root / "a").write_text("a b")
    desk.sandbox = Slow(desk.root.parent)
    again = {"path": "a", "old": "a", "new": "aa", "replace_all": True}
    assert "it is unknown" in await desk.refusal(edit_file, **again)
    assert (desk.root / "a").read_text() == "aa b and more"


async def test_list_a_tree(odd: Desk) -> None:
    """Sorted, with folders, links and oddities marked; some folders are not entered."""
    (odd.root / ".git").mkdir()
    (odd.root / ".git/config").touch()
    (odd.root / "folder/b.py").touch()
    assert (await odd.call(list_files)).split("\n") == [
        ".git/ (not entered)",
        "folder/",
        "folder/b.py",
        "loop (link)",
        "out (link)",
        "pipe (not a regular file)",
    ]
    assert await odd.call(list_files, path="folder") == "folder/b.py"
    assert await odd.call(list_files, pattern="*.py") == "folder/b.py"
    assert await odd.call(list_files, path=".git") == ".git/config"


async def test_a_listing_says_what_it_leaves_out(desk: Desk) -> None:
    """Deeper folders, and more files than are shown."""
    (desk.root / "a/b/c/d").mkdir(parents=True)
    assert await desk.call(list_files, pattern="*.py") == (
        "[Nothing fits.]\n[1 folders at depth 3 were not entered.]"
    )
    for number in range(LISTED + 5):
        (desk.root / f"{number:03}").touch()
    shown = (await desk.call(list_files, depth=1, pattern="[0-9]*")).split("\n")
    assert shown[0] == "000"
    assert shown[LISTED:] == [
        "[5 more; give a narrower path or pattern, or less depth.]",
        "[1 folders at depth 1 were not entered.]",
    ]


async def test_names_that_are_not_text_are_shown(desk: Desk) -> None:
    """A listing can always be stored."""
    (desk.root / os.fsdecode(b"caf\xe9")).touch()
    assert await desk.call(list_files) == "caf\\udce9"


async def test_what_cannot_be_listed_is_explained(odd: Desk) -> None:
    """A file, a pipe, nothing, and a folder without files."""
    (odd.root / "file").touch()
    assert "read_file shows it" in await odd.refusal(list_files, path="file")
    assert "cannot be listed: Not a directory" in await odd.refusal(list_files, path="pipe")
    assert "does not exist" in await odd.refusal(list_files, path="none")
    assert await odd.call(list_files, path="folder") == "[The folder is empty.]"


async def test_search_files(odd: Desk) -> None:
    """Lines with file and number; binary files, pipes and links are passed over."""
    (odd.root / "a.py").write_text("one\ntwo = 2\n")
    (odd.root / "folder/b.txt").write_text("\n\nthe two\n")
    (odd.root / "image").write_bytes(b"two\0")
    assert await odd.call(search_files, pattern=r"\btwo\b|secret") == (
        "a.py:2: two = 2\nfolder/b.txt:3: the two"
    )
    assert await odd.call(search_files, pattern="two", glob="*.py") == "a.py:2: two = 2"
    assert await odd.call(search_files, pattern="two", path="folder") == "folder/b.txt:3: the two"
    assert await odd.call(search_files, pattern="the", path="folder/b.txt")
    assert await odd.call(search_files, pattern="three") == "[No line in . matches three.]"


async def test_a_search_says_what_it_leaves_out(desk: Desk) -> None:
    """More matches than are shown, and the rest of a long line."""
    (desk.root / "a").write_text("x" * 5000 + "needle" + "y" * 5000 + "\n" + "needle\n" * 500)
    shown = (await desk.call(search_files, pattern="needle")).split("\n")
    assert len(shown) == MATCHES + 1
    assert shown[-1].startswith(f"[Only the first {MATCHES};")
    assert "needle" in shown[0]
    assert len(shown[0]) < 300


async def test_a_wrong_pattern_is_explained(desk: Desk) -> None:
    """With the regular expression's own complaint."""
    refusal = await desk.refusal(search_files, pattern="(a")
    assert refusal == (
        "Pattern '(a' is no regular expression: missing ), unterminated subpattern at position 0."
    )


async def test_a_socket_is_not_opened(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor anything else that is no file."""
    monkeypatch.chdir(desk.root)
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("socket")
        assert "not a regular file" in await desk.refusal(read_file, path="socket")
