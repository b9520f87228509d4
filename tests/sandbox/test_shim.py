"""The client of a shim: many calls over one connection, and what it says when that is lost."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from perdure.errors import ToolError
from perdure.sandbox.inside import frames
from perdure.sandbox.sandbox import Command, SandboxError, SandboxLost
from perdure.sandbox.shim import Shim
from tests.sandbox.boxes import Boxes, shell, unseen, until

LISTING = {"path": ".", "pattern": "*", "depth": 1}


@pytest_asyncio.fixture
async def boxes(tmp_path: Path) -> AsyncIterator[Boxes]:
    boxes = Boxes(tmp_path)
    yield boxes
    await boxes.close()


async def test_output_is_shown_while_it_is_printed(boxes: Boxes) -> None:
    """The first line is there long before the command ends."""
    client = await boxes.open()
    shown: list[bytes] = []
    script = "echo one; while [ ! -e go ]; do sleep 0.02; done; echo two >&2"
    running = asyncio.create_task(client.run("s", shell(script), shown.append))
    async with asyncio.timeout(10):
        while not shown:
            await asyncio.sleep(0.01)
    assert shown == [b"one\n"]
    boxes.file("go").touch()
    assert (await running).head == b"one\ntwo\n"
    assert shown == [b"one\n", b"two\n"]


async def test_of_long_output_the_ends_are_kept_and_all_is_counted(boxes: Boxes) -> None:
    """Half the limit from the beginning, half from the end."""
    client = await boxes.open(output_bytes=100_000)
    shown: list[bytes] = []
    outcome = await client.run("s", shell("seq 1 1000000"), shown.append)
    whole = "".join(f"{n}\n" for n in range(1, 1_000_001)).encode()
    assert outcome.total == len(whole)
    assert outcome.head == whole[:50_000]
    assert outcome.tail == whole[-50_000:]
    assert b"".join(shown) == outcome.head


async def test_input_of_megabytes_arrives(boxes: Boxes) -> None:
    """It is no argument, so that no limit of the system's is on it."""
    client = await boxes.open()
    data = os.urandom(5_000_000)
    outcome = await client.run("s", Command(("sha1sum",), stdin=data), unseen)
    assert outcome.head.split()[0].decode() == hashlib.sha1(data).hexdigest()  # noqa: S324 - no secret


async def test_variables_and_folder_are_the_commands_own(boxes: Boxes) -> None:
    """Its own variables are added to the sandbox's."""
    client = await boxes.open()
    boxes.file("sub").mkdir()
    command = shell('echo "$A $HOME $PWD"', environment={"A": "ü"}, folder="sub")
    outcome = await client.run("s", command, unseen)
    place = boxes.file(".").resolve()
    assert outcome.head.decode() == f"ü {place.parent / 'tmp'} {place}/sub\n"


async def test_an_operation_gives_a_value_and_data(boxes: Boxes) -> None:
    """The bytes of a file go there and back as they are."""
    client = await boxes.open()
    await client.operate("write_file", {"path": "a/b", "key": "k"}, b"\0\xff\n")
    assert boxes.file("a/b").read_bytes() == b"\0\xff\n"
    _, data = await client.operate("read_bytes", {"path": "a/b", "limit": 10})
    assert data == b"\0\xff\n"


async def test_what_an_operation_refuses_is_for_the_model(boxes: Boxes) -> None:
    """What is wrong with the request itself is for the operator."""
    client = await boxes.open()
    with pytest.raises(ToolError, match="none.txt"):
        await client.operate("read_bytes", {"path": "none.txt", "limit": 1})
    with pytest.raises(SandboxError, match="'format_disk' is unknown"):
        await client.operate("format_disk", {})
    with pytest.raises(SandboxError, match="TypeError"):
        await client.operate("read_file", {"colour": "red"})


async def test_changes_follow_a_known_base(boxes: Boxes) -> None:
    """A base that a new server doesn't know is adopted."""
    client = await boxes.open()
    boxes.file("one").write_bytes(b"1")
    first = await client.changes(None)
    assert first is not None
    id, entries, _ = first
    assert list(entries) == ["one"]
    assert await client.changes(id) == (id, {}, [])
    await boxes.kill(boxes.server)
    boxes.file("two").write_bytes(b"22")
    client = await boxes.open()
    assert await client.changes(id) is None
    await client.adopt(id, entries)
    second = await client.changes(id)
    assert second is not None
    assert list(second[1]) == ["two"]
    assert await client.pieces([("two", 1, 1), ("one", 0, 1)]) == b"21"


async def test_calls_do_not_wait_for_each_other(boxes: Boxes) -> None:
    """Files are read while a command runs."""
    client = await boxes.open()
    running = asyncio.create_task(client.run("s", shell("touch up; sleep 30"), unseen))
    await until(boxes.file("up"))
    await client.operate("list_files", LISTING)
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_lost_connection_fails_every_call(boxes: Boxes) -> None:
    """Those that wait, and those that come later."""
    client = await boxes.open()
    waiting = [
        asyncio.create_task(client.run(f"s{n}", shell(f"touch {n}; sleep 30"), unseen))
        for n in range(3)
    ]
    await until(boxes.file("2"))
    await boxes.kill(boxes.server)
    ends = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert [type(end) for end in ends] == [SandboxLost] * 3
    with pytest.raises(SandboxLost):
        await client.operate("list_files", LISTING)


async def test_closing_lets_the_command_go_on(boxes: Boxes) -> None:
    """The connection is the client's, the command is not."""
    client = await boxes.open()
    command = shell("touch up; sleep 0.3; echo late")
    waiting = asyncio.create_task(client.run("s", command, unseen))
    await until(boxes.file("up"))
    await client.close()
    with pytest.raises(SandboxLost):
        await waiting
    again = await boxes.open()
    assert (await again.run("s", command, unseen)).head == b"late\n"
    assert again.incarnation == client.incarnation


async def test_a_cancelled_call_lets_the_command_go_on_until_it_is_stopped(boxes: Boxes) -> None:
    """Its worker may only be ending; who asks for an end says so."""
    client = await boxes.open()
    command = shell("touch up; sleep 30")
    waiting = asyncio.create_task(client.run("s", command, unseen))
    await until(boxes.file("up"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    joined = asyncio.create_task(client.run("s", command, unseen))
    await asyncio.sleep(0.2)
    assert not joined.done()
    await client.stop("s")
    assert (await joined).ended == "stopped"


async def test_a_sandbox_that_hangs_can_be_let_go_of(boxes: Boxes) -> None:
    """Although it takes nothing of what was sent."""
    client = await boxes.open()
    boxes.server.signal(signal.SIGSTOP)
    request = {"path": "a", "key": "k"}
    waiting = asyncio.create_task(client.operate("write_file", request, b"x" * 2**24))
    await asyncio.sleep(0.2)
    try:
        await asyncio.wait_for(client.close(), 5)
    finally:
        boxes.server.signal(signal.SIGCONT)
    with pytest.raises(SandboxLost):
        await waiting


async def test_a_cancelled_operation_leaves_the_connection_in_order(boxes: Boxes) -> None:
    """Its late answer is nobody's."""
    client = await boxes.open()
    for _ in range(10):
        call = asyncio.create_task(client.operate("list_files", LISTING))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    await client.operate("list_files", LISTING)


async def test_end_stops_everything_and_answers_first(boxes: Boxes) -> None:
    """The server's process ends, and every command's tree with it."""
    client = await boxes.open()
    running = asyncio.create_task(client.run("s", shell("touch up; sleep 30"), unseen))
    await until(boxes.file("up"))
    await client.end()
    with pytest.raises(SandboxLost):
        await running
    async with asyncio.timeout(10):
        while boxes.living():
            await asyncio.sleep(0.02)
    assert (await (await boxes.open()).recall("s", shell("touch up; sleep 30"), unseen)).ended == (
        "stopped"
    )


async def test_readiness_outlives_the_server(boxes: Boxes) -> None:
    """That the files are there is said once."""
    client = await boxes.open()
    assert not client.is_ready
    await client.make_ready()
    assert client.is_ready
    await boxes.kill(boxes.server)
    assert (await boxes.open()).is_ready


@pytest.mark.parametrize("said", [b"", b"hello\n", b"{}\n", b'{"hello": {}}\n', b'{"hello": 1}\n'])
async def test_a_stranger_is_no_shim(tmp_path: Path, said: bytes) -> None:
    """What does not say hello as a shim does is not waited for."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    async with await asyncio.start_unix_server(answer, tmp_path / "socket"):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "socket")
        with pytest.raises(SandboxLost):
            await Shim.connect(reader, writer, kind="none")
        writer.close()


async def test_a_broken_client_does_not_hurt_the_others(boxes: Boxes) -> None:
    """What is no frame ends its own connection; what is no request is answered."""
    client = await boxes.open()
    folder = os.open(boxes.root / "box" / "state", os.O_PATH)
    address = f"/proc/self/fd/{folder}/shim.sock"
    for sent in (b"hello\n", b'{"n":1', b'{"size": 1e9}\n'):
        reader, writer = await asyncio.open_unix_connection(address)
        writer.write(sent)
        writer.write_eof()
        assert b"incarnation" in await reader.read()
        writer.close()
    reader, writer = await asyncio.open_unix_connection(address)
    os.close(folder)
    writer.write(b'{"n":1}\n{"n":2,"op":"run"}\n{"n":3,"op":"operate","arguments":[]}\n')
    replies = [await frames.receive(reader) for _ in range(4)]
    assert all(reply and "failed" in reply[0] for reply in replies[1:])
    writer.close()
    await client.operate("list_files", LISTING)
