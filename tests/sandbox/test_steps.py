"""Exactly once: a step's command is begun one time, whatever is killed, and its outcome is kept."""

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from perdure.sandbox.sandbox import Outcome, SandboxError, SandboxLost
from perdure.sandbox.shim import Shim
from tests.sandbox.boxes import Boxes, shell, unseen, until

COUNTED = "echo begun; echo x >> count; while [ ! -e go ]; do sleep 0.02; done; echo done"
STEP = "7d3f1c1e-6f44-4d6c-9a55-0d8f1f0f2c11:3"

KILLED_CLIENT = """
import asyncio, pathlib, sys
from tests.sandbox.boxes import Boxes, shell, unseen
from tests.sandbox.test_steps import COUNTED, STEP

async def main():
    boxes = Boxes(pathlib.Path(sys.argv[1]), sys.argv[2])
    await (await boxes.open()).run(STEP, shell(COUNTED), unseen)

asyncio.run(main())
"""


@pytest_asyncio.fixture(params=["none", "bwrap"])
async def boxes(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Boxes]:
    """Sandboxes with an enclosure and without."""
    boxes = Boxes(tmp_path, request.param)
    yield boxes
    await boxes.close()


def _went_well(boxes: Boxes, outcome: Outcome) -> bool:
    said = outcome.state == "done" and outcome.code == 0 and outcome.head == b"begun\ndone\n"
    return said and boxes.file("count").read_text() == "x\n"


async def test_a_second_run_of_a_step_joins_the_first(boxes: Boxes) -> None:
    """Two clients get the whole outcome and the whole output of a command that ran once."""
    first, second = await boxes.open(), await boxes.open()
    shown: list[bytes] = []
    running = asyncio.create_task(first.run(STEP, shell(COUNTED), unseen))
    await until(boxes.file("count"))
    joined = asyncio.create_task(second.run(STEP, shell(COUNTED), shown.append))
    while not shown:
        await asyncio.sleep(0.01)
    boxes.file("go").touch()
    assert _went_well(boxes, await running)
    assert await joined == await running
    assert b"".join(shown) == b"begun\ndone\n"


async def test_a_finished_step_is_not_run_again(boxes: Boxes) -> None:
    """Its outcome is given again, to a run as to a recall."""
    client = await boxes.open()
    once = await client.run(STEP, shell("echo x >> count; exit 3"), unseen)
    assert (once.state, once.code) == ("done", 3)
    assert await client.run(STEP, shell("echo x >> count; exit 3"), unseen) == once
    assert await client.recall(STEP, shell("echo x >> count; exit 3"), unseen) == once
    assert boxes.file("count").read_text() == "x\n"


async def test_a_recall_begins_nothing(boxes: Boxes) -> None:
    """A step that was never begun is said to be so, and can be begun afterwards."""
    client = await boxes.open()
    assert (await client.recall(STEP, shell("touch made"), unseen)).state == "never"
    assert not boxes.file("made").exists()
    assert (await client.run(STEP, shell("touch made"), unseen)).state == "done"


async def test_a_recall_waits_for_what_is_running(boxes: Boxes) -> None:
    """It gets the output so far, and then the outcome."""
    client = await boxes.open()
    running = asyncio.create_task(client.run(STEP, shell(COUNTED), unseen))
    await until(boxes.file("count"))
    recalled = asyncio.create_task(client.recall(STEP, shell(COUNTED), unseen))
    boxes.file("go").touch()
    assert await recalled == await running


async def test_another_command_cannot_pass_for_a_step(boxes: Boxes) -> None:
    """The same id with other words, input, variables or folder is an error of the operator's."""
    client = await boxes.open()
    await client.run(STEP, shell("true"), unseen)
    others = [
        shell("false"),
        shell("true", stdin=b"1"),
        shell("true", environment={"A": "1"}),
        shell("true", folder="sub"),
    ]
    for other in others:
        with pytest.raises(SandboxError, match="begun with another command"):
            await client.run(STEP, other, unseen)
    with pytest.raises(SandboxError, match="begun with another command"):
        await client.recall(STEP, others[0], unseen)


@pytest.mark.parametrize("id", ["", ".", "..", "../x", "a/b", ".hidden", "a\0b", "a" * 201])
async def test_an_id_that_is_no_plain_name_is_refused(boxes: Boxes, id: str) -> None:
    """No id leads out of the folder of the steps."""
    client = await boxes.open()
    with pytest.raises(SandboxError, match="cannot name a folder"):
        await client.run(id, shell("true"), unseen)


async def test_a_killed_client_costs_nothing(boxes: Boxes) -> None:
    """After kill -9 of the worker in the middle, another one gets the whole outcome."""
    arguments = [str(boxes.root), boxes.host.kind]
    with subprocess.Popen([sys.executable, "-c", KILLED_CLIENT, *arguments]) as victim:
        await until(boxes.file("count"))
        victim.kill()
    client = await boxes.open()
    recovered = asyncio.create_task(client.run(STEP, shell(COUNTED), unseen))
    await asyncio.sleep(0.1)
    boxes.file("go").touch()
    assert _went_well(boxes, await recovered)


async def _cut_off(boxes: Boxes) -> Shim:
    """The client of a shim that was killed -9 in the middle of the counted command."""
    first = await boxes.open()
    cut = asyncio.create_task(first.run(STEP, shell(COUNTED), unseen))
    await until(boxes.file("count"))
    await boxes.kill(boxes.server)
    with pytest.raises(SandboxLost):
        await cut
    return first


async def test_a_killed_server_costs_nothing(boxes: Boxes) -> None:
    """After kill -9 of the shim a new one attaches to the command, which ran once."""
    first = await _cut_off(boxes)
    second = await boxes.open()
    assert second.incarnation != first.incarnation
    recovered = asyncio.create_task(second.run(STEP, shell(COUNTED), unseen))
    await asyncio.sleep(0.1)
    boxes.file("go").touch()
    assert _went_well(boxes, await recovered)


async def test_a_command_that_ends_while_no_server_lives_is_recovered(boxes: Boxes) -> None:
    """Its supervisor needs nobody."""
    await _cut_off(boxes)
    boxes.file("go").touch()
    while boxes.supervisor(STEP).is_running:
        await asyncio.sleep(0.01)
    second = await boxes.open()
    assert _went_well(boxes, await second.recall(STEP, shell(COUNTED), unseen))


async def test_a_step_whose_supervisor_was_killed_is_lost(boxes: Boxes) -> None:
    """It is never run again: what it printed is all that is known of it."""
    first = await boxes.open()
    cut = asyncio.create_task(first.run(STEP, shell(COUNTED), unseen))
    await until(boxes.file("count"))
    await boxes.kill(boxes.server)
    await boxes.kill(boxes.supervisor(STEP))
    with pytest.raises(SandboxLost):
        await cut
    second = await boxes.open()
    for attempt in (second.run, second.recall):
        outcome = await attempt(STEP, shell(COUNTED), unseen)
        assert (outcome.state, outcome.code, outcome.head) == ("lost", None, b"begun\n")
    assert boxes.file("count").read_text() == "x\n"


async def test_a_server_killed_before_it_could_fork_has_begun_nothing(boxes: Boxes) -> None:
    """The folder is there and no supervisor ever was: the step is begun now."""
    client = await boxes.open()
    folder = boxes.supervisor(STEP).folder
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "spec").write_text('{"digest": "of the same command"}')
    assert (await client.recall(STEP, shell(COUNTED), unseen)).state == "never"
    boxes.file("go").touch()
    assert _went_well(boxes, await client.run(STEP, shell(COUNTED), unseen))


async def test_a_lost_step_is_reported_to_those_who_wait(boxes: Boxes) -> None:
    """The server sees the supervisor die."""
    client = await boxes.open()
    running = asyncio.create_task(client.run(STEP, shell(COUNTED), unseen))
    await until(boxes.file("count"))
    await boxes.kill(boxes.supervisor(STEP))
    assert (await asyncio.wait_for(running, 5)).state == "lost"


async def test_a_stopped_command_is_dead_before_that_is_said(boxes: Boxes) -> None:
    """Daemonised children too; whoever else waits learns that it was stopped."""
    client, other = await boxes.open(), await boxes.open()
    script = "setsid sh -c 'echo $$ > child; while :; do echo x >> beats; sleep 0.02; done' & wait"
    running = asyncio.create_task(client.run(STEP, shell(script), unseen))
    joined = asyncio.create_task(other.run(STEP, shell(script), unseen))
    await until(boxes.file("beats"))
    await client.stop(STEP)
    assert (await running).ended == "stopped"
    beats = boxes.file("beats").stat().st_size
    assert (await joined).ended == "stopped"
    await asyncio.sleep(0.1)
    assert boxes.file("beats").stat().st_size == beats
    assert (await client.recall(STEP, shell(script), unseen)).ended == "stopped"


async def test_a_new_server_can_stop_what_an_old_one_began(boxes: Boxes) -> None:
    """It knows the supervisor by the folder that it holds."""
    await _cut_off(boxes)
    second = await boxes.open()
    running = asyncio.create_task(second.run(STEP, shell(COUNTED), unseen))
    await asyncio.sleep(0.1)
    await second.stop(STEP)
    assert (await running).ended == "stopped"
    assert not boxes.supervisor(STEP).is_running


async def test_twenty_steps_run_side_by_side(boxes: Boxes) -> None:
    """Each has its own outcome, and none waits for another."""
    client = await boxes.open()
    script = "touch here-$0; while [ $(ls here-* | wc -l) -lt 20 ]; do sleep 0.02; done; echo $0"
    commands = {f"step:{n}": shell(f"set -- {n}; {script.replace('$0', '$1')}") for n in range(20)}
    runs = (client.run(id, command, unseen) for id, command in commands.items())
    outcomes = await asyncio.gather(*runs)
    assert [outcome.head for outcome in outcomes] == [f"{n}\n".encode() for n in range(20)]


@pytest.mark.slow
async def test_a_supervisor_that_does_not_end_is_killed(boxes: Boxes) -> None:
    """Half a minute of patience is all that a command has which is to stop."""
    client = await boxes.open()
    running = asyncio.create_task(client.run(STEP, shell(COUNTED), unseen))
    await until(boxes.file("count"))
    boxes.supervisor(STEP).signal(signal.SIGSTOP)
    await client.stop(STEP)
    assert (await running).state == "lost"
    assert not boxes.supervisor(STEP).is_running
    assert (await client.recall(STEP, shell(COUNTED), unseen)).state == "lost"


@pytest.mark.slow
async def test_kills_of_the_server_never_repeat_a_command(boxes: Boxes) -> None:
    """Sixty steps while the shim is killed at random moments: each counts one."""
    kills = 0

    async def keep_killing() -> None:
        nonlocal kills
        while True:
            await asyncio.sleep(random.uniform(0.0, 0.4))
            await boxes.kill(boxes.server)
            kills += 1

    async def carry_out(number: int) -> Outcome:
        command = shell(f"sleep 0.0{number % 10}; echo x >> count-{number}; sleep 0.1; echo done")
        while True:
            try:
                client = await boxes.open()
                return await client.run(f"step:{number}", command, unseen)
            except SandboxLost:
                continue

    await boxes.open()
    killer = asyncio.create_task(keep_killing())
    outcomes: dict[int, Outcome] = {}
    for first in range(0, 60, 3):
        numbers = range(first, first + 3)
        outcomes |= zip(numbers, await asyncio.gather(*map(carry_out, numbers)), strict=True)
    killer.cancel()
    assert kills >= 10
    counts = [boxes.file(f"count-{number}").read_text() for number in outcomes]
    assert counts == ["x\n"] * 60
    assert {outcome.head for outcome in outcomes.values()} == {b"done\n"}
