"""Attacks by which an agent ruins its own sandbox: it comes back, and its files with it."""

import asyncio
from contextlib import suppress

import pytest

from perdure.contracts import SandboxSpec
from perdure.sandbox.sandbox import Command, SandboxError, SandboxLost
from perdure.sandbox.shim import Shim
from tests.sandbox.attacks.probe import python
from tests.sandbox.docker_trial import Trial, shell

# Docker cannot keep a command from this: each is smaller than the shim, and no likelier to be
# killed when there is no memory left for all.
_MANY_SMALL = python("""
    open("/proc/self/oom_score_adj", "w").write("0")
    for n in range(60):
        if os.fork() == 0:
            held = bytearray(6 << 20)
            held[::4096] = bytes(len(held[::4096]))
            time.sleep(20)
    time.sleep(20)
""", seconds=5)  # fmt: skip

_MANY_FILES = python("""
    for folder in map(str, range(14)):
        os.mkdir(folder)
        for n in range(10_000):
            os.mknod(f"{folder}/{n}")
""")


async def _run(sandbox: Shim, command: Command) -> None:
    with suppress(SandboxLost):
        await sandbox.run("ruin", command, lambda _: None)


async def _open_again(trial: Trial, name: str, spec: SandboxSpec) -> Shim:
    while True:
        with suppress(SandboxLost):  # while the engine is about its end; worth another attempt
            return await trial.open(name, spec)


async def test_a_shim_that_runs_out_of_memory_is_started_again(docker_trial: Trial) -> None:
    """The command is lost, as after a crash of the machine; the host has not noticed."""
    name = docker_trial.name()
    spec = SandboxSpec(memory_mb=128, processes=96)
    sandbox = await docker_trial.open(name, spec)
    await shell(sandbox, "echo kept > file")
    await _run(sandbox, _MANY_SMALL)
    async with asyncio.timeout(20):
        again = await _open_again(docker_trial, name, spec)
        assert (await shell(again, "cat file")).head == b"kept\n"


@pytest.mark.slow
async def test_more_files_than_memory_can_list_cost_the_look_and_not_the_shim(
    docker_trial: Trial,
) -> None:
    """A list of 140,000 files is larger than what is left of the memory."""
    sandbox = await docker_trial.open(docker_trial.name(), SandboxSpec(memory_mb=96, seconds=60))
    await _run(sandbox, _MANY_FILES)
    for _ in range(2):
        with suppress(SandboxError):
            await sandbox.changes(None)
    assert (await shell(sandbox, "echo fine")).head == b"fine\n"


@pytest.mark.slow
async def test_an_operation_that_is_stopped_is_given_up(docker_trial: Trial) -> None:
    """In a container the agent's user may stop what is done to its files in its name."""
    sandbox = await docker_trial.open(docker_trial.name())
    await shell(sandbox, "head -c 200 /dev/zero | tr '\\0' a > line; echo b >> line")
    stop = Command(("sh", "-c", "while :; do kill -STOP -1; done"))
    running = asyncio.create_task(sandbox.run("stop", stop, lambda _: None))
    await asyncio.sleep(0.3)
    with pytest.raises(SandboxError, match="longer than 60 seconds"):
        await sandbox.operate("search_files", {"path": ".", "pattern": "(a|aa)+$", "glob": "*"})
    await sandbox.stop("stop")
    await running
    assert (await shell(sandbox, "echo fine")).head == b"fine\n"
