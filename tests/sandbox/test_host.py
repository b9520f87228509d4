"""Sandboxes on this machine: made, found again, and removed without a trace."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from perdure.sandbox.found import Found
from perdure.sandbox.host.backend import Host
from perdure.sandbox.sandbox import SandboxLost
from tests.sandbox.boxes import Boxes, shell, unseen, until

DAEMON = "setsid sh -c 'touch up; while :; do sleep 1; done' > /dev/null 2>&1 & sleep 30"


@pytest_asyncio.fixture(params=["none", "bwrap"])
async def boxes(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Boxes]:
    """Sandboxes with an enclosure and without."""
    boxes = Boxes(tmp_path, request.param)
    yield boxes
    await boxes.close()


async def test_a_sandbox_is_found_again_by_name(boxes: Boxes) -> None:
    """Opened twice, even at the same time, there is one server and one workspace."""
    clients = await asyncio.gather(*(boxes.open() for _ in range(4)))
    assert len({client.incarnation for client in clients}) == 1
    assert clients[0].kind == boxes.host.kind


async def test_sandboxes_have_nothing_in_common(boxes: Boxes) -> None:
    """A file of one is not in another."""
    one, two = await boxes.open("box"), await boxes.open("two")
    await one.run("s", shell("touch a"), unseen)
    assert (await two.run("s", shell("ls"), unseen)).head == b""


async def test_a_path_may_be_longer_than_a_sockets_address(tmp_path: Path) -> None:
    """Data directories lie anywhere."""
    boxes = Boxes(tmp_path / ("x" * 120))
    client = await boxes.open()
    assert (await client.run("s", shell("echo here"), unseen)).head == b"here\n"
    await boxes.close()


async def test_the_workers_variables_do_not_reach_a_command(
    boxes: Boxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key in the worker's environment is in no process of the sandbox."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    client = await boxes.open()
    running = asyncio.create_task(client.run("s", shell("env; touch up; sleep 30"), unseen))
    await until(boxes.file("up"))
    assert len(boxes.living()) >= 3  # the shim, a supervisor and the command
    assert "sk-secret" not in "".join(boxes.living())
    await boxes.host.remove("box")
    with pytest.raises(SandboxLost):
        await running


async def test_those_that_are_there_are_listed_with_their_run(boxes: Boxes) -> None:
    """The list is what a reaper goes by; a closed one is still there, a removed one is not."""
    await boxes.open("box")
    await boxes.open("two")
    kind = boxes.host.kind
    expected = {
        Found(
            name=name,
            kind=kind,
            run="the-run",
            workflow_id="the-workflow",
            deadline=12.5,
            cluster="c",
        )
        for name in ("box", "two")
    }
    assert set(await boxes.host.found()) == expected
    other = Host(boxes.root, "none" if kind == "bwrap" else "bwrap")
    assert await other.found() == []
    await boxes.host.remove("box")
    assert [found.name for found in await boxes.host.found()] == ["two"]
    assert await Host(boxes.root / "absent", kind).found() == []


async def test_removal_leaves_no_process_and_no_file(boxes: Boxes) -> None:
    """Not of a running command, nor of its daemonised child."""
    client = await boxes.open()
    running = asyncio.create_task(client.run("s", shell(DAEMON), unseen))
    await until(boxes.file("up"))
    assert boxes.living()
    await boxes.host.remove("box")
    with pytest.raises(SandboxLost):
        await running
    assert boxes.living() == []
    assert list(boxes.root.iterdir()) == []


async def test_removal_ends_what_a_dead_server_has_left(boxes: Boxes) -> None:
    """The supervisors are found by their folders."""
    client = await boxes.open()
    running = asyncio.create_task(client.run("s", shell(DAEMON), unseen))
    await until(boxes.file("up"))
    await boxes.kill(boxes.server)
    with pytest.raises(SandboxLost):
        await running
    await boxes.host.remove("box")
    assert boxes.living() == []


async def test_removal_ends_what_a_dead_supervisor_has_left(boxes: Boxes) -> None:
    """Without bubblewrap a daemon outlives its supervisor: it is known by its environment."""
    client = await boxes.open()
    running = asyncio.create_task(client.run("s", shell(DAEMON), unseen))
    await until(boxes.file("up"))
    await boxes.kill(boxes.server)
    await boxes.kill(boxes.supervisor("s"))
    with pytest.raises(SandboxLost):
        await running
    await boxes.host.remove("box")
    assert boxes.living() == []


async def test_removal_copes_with_what_an_agent_can_make(boxes: Boxes, tmp_path: Path) -> None:
    """Folders without permissions, very deep ones, and links to what is not its own."""
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "kept").touch(mode=0o600)
    client = await boxes.open()
    deep = "import os; [(os.mkdir('ddd'), os.chdir('ddd')) for _ in range(1500)]"
    script = (
        f"mkdir -p a/b && touch a/b/c && ln -s {outside} link && ln -s {outside}/kept a/link"
        f' && python3 -c "{deep}" && chmod 0 a/b a'
    )
    assert (await client.run("s", shell(script), unseen)).code == 0
    await boxes.host.remove("box")
    assert not (boxes.root / "box").exists()
    assert (outside / "kept").stat().st_mode & 0o777 == 0o600


async def test_removing_what_is_not_there_is_no_error(boxes: Boxes) -> None:
    """A removal may be tried again."""
    await boxes.host.remove("nothing")


@pytest.mark.slow
async def test_a_server_that_cannot_start_says_why(boxes: Boxes) -> None:
    """The end of its log is in the error."""
    (boxes.server.folder / "lock").mkdir(parents=True)
    with pytest.raises(SandboxLost, match="IsADirectoryError"):
        await boxes.open()
    (boxes.server.folder / "lock").rmdir()


async def test_a_machine_with_bubblewrap_has_no_problem(boxes: Boxes) -> None:
    """Neither has one that needs none."""
    assert await boxes.host.problem() is None


async def test_without_bubblewrap_the_problem_is_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is missing, and where it does not work."""
    host = Host(tmp_path, "bwrap")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt install bubblewrap" in str(await host.problem())
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'No permissions to create a namespace' >&2; exit 1\n")
    broken.chmod(0o755)
    problem = str(await host.problem())
    assert "No permissions to create a namespace" in problem
    assert "apt install bubblewrap" in problem
