"""Shims, containers, volumes and engines that are lost while a command runs: once, or unknown."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import docker
import pytest
import pytest_asyncio

from perdure.sandbox.docker.recipe import container_name, volume_names
from perdure.sandbox.host.backend import Host
from perdure.sandbox.inside.holder import Holder
from perdure.sandbox.sandbox import SandboxLost
from tests.crash.sandbox_run import StoredRun, stored_run
from tests.sandbox.forwarder import forwarded

COUNT = "echo x >> count; echo begun; sleep 1; wc -l < count"
LONG = "echo x >> count; echo begun; sleep 60; echo x >> count"


@pytest_asyncio.fixture
async def bwrap_run(tmp_path: Path) -> AsyncIterator[StoredRun]:
    """A run with a sandbox in bubblewrap."""
    if problem := await Host(tmp_path, "bwrap").problem():
        pytest.skip(problem)
    async with stored_run(tmp_path, "bwrap") as run:
        yield run


@pytest_asyncio.fixture
async def docker_run(tmp_path: Path, docker_image: str) -> AsyncIterator[StoredRun]:
    """A run with a sandbox in Docker, in which a first call has left two files."""
    async with stored_run(tmp_path, "docker", docker_image) as run:
        assert "exit code 0" in await run.carry_out("echo kept > kept; echo x >> count")
        yield run


def state(run: StoredRun) -> Path:
    return run.home / "sandboxes" / run.id / "state"


async def kill(holder: Holder) -> None:
    while holder.is_running:
        holder.signal(signal.SIGKILL)
        await asyncio.sleep(0.01)


async def judge_unknown(run: StoredRun, number: int) -> None:
    """The model is told that nobody knows, and what there was to see; a retry says the same."""
    told = await run.told(number)
    assert told.startswith("unknown: The outcome is unknown")
    assert "not repeated" in told
    assert "Until then it had printed:\nbegun" in told
    assert (await run.worker().act(number)).status == "unknown"


async def test_a_killed_shim_costs_nothing(bwrap_run: StoredRun) -> None:
    """The command goes on; the next shim finds it, and its result is whole."""
    number, worker = await bwrap_run.add(COUNT), bwrap_run.worker()
    acting = await worker.begin(number)
    await kill(Holder(state(bwrap_run)))
    with pytest.raises(SandboxLost):
        await acting
    assert (await worker.act(number)).status == "ok"
    assert (await bwrap_run.told(number)).startswith("ok: begun\n1\n[exit code 0")


async def test_a_command_without_its_supervisor_is_unknown(bwrap_run: StoredRun) -> None:
    """With the shim and the supervisor the command dies; nobody can say how far it came."""
    number, worker = await bwrap_run.add(LONG), bwrap_run.worker()
    acting = await worker.begin(number)
    await kill(Holder(state(bwrap_run)))
    await kill(Holder(state(bwrap_run) / "steps" / bwrap_run.request(number).key))
    with pytest.raises(SandboxLost):
        await acting
    await worker.act(number)
    await judge_unknown(bwrap_run, number)
    assert (await bwrap_run.carry_out("wc -l < count")).startswith("ok: 1\n")


async def test_a_killed_container_leaves_the_outcome_unknown(
    docker_run: StoredRun, engine: docker.DockerClient
) -> None:
    """It is started again with its files, and the next call works in it."""
    number, worker = await docker_run.add(LONG), docker_run.worker()
    acting = await worker.begin(number)
    engine.containers.get(container_name(docker_run.id)).kill()
    with pytest.raises(SandboxLost):
        await acting
    await worker.act(number)
    await judge_unknown(docker_run, number)
    assert (await docker_run.carry_out("cat kept; wc -l < count")).startswith("ok: kept\n2\n")


async def test_a_result_that_was_not_fetched_outlives_the_container(
    docker_run: StoredRun, engine: docker.DockerClient
) -> None:
    """The worker is gone, the command ends, the container is killed: the result is recovered."""
    number, worker = await docker_run.add(COUNT), docker_run.worker()
    acting = await worker.begin(number)
    place = docker_run.place
    await worker.sandboxes.forget(place, await worker.sandboxes.at(docker_run.id, place))
    with pytest.raises(SandboxLost):
        await acting
    await asyncio.sleep(2)
    engine.containers.get(container_name(docker_run.id)).kill()
    await docker_run.worker().act(number)
    assert (await docker_run.told(number)).startswith("ok: begun\n2\n[exit code 0")


@pytest.mark.parametrize("lost", ["nothing else", "its state", "its files and its state"])
async def test_a_removed_container_leaves_the_outcome_unknown(
    docker_run: StoredRun, engine: docker.DockerClient, lost: str
) -> None:
    """A new one takes its place, with its volumes or from the last checkpoint, and goes on."""
    number, worker = await docker_run.add(LONG), docker_run.worker()
    acting = await worker.begin(number)
    engine.containers.get(container_name(docker_run.id)).remove(force=True)
    files, state = volume_names(docker_run.id)
    for volume in {"nothing else": [], "its state": [state]}.get(lost, [files, state]):
        engine.volumes.get(volume).remove()
    with pytest.raises(SandboxLost):
        await acting
    await worker.act(number)
    assert (await docker_run.told(number)).startswith("unknown: The outcome is unknown")
    lines = 2 if lost == "nothing else" else 1  # what the lost command had written, or not
    told = await docker_run.carry_out("cat kept; wc -l < count; echo x >> count; wc -l < count")
    assert told.startswith(f"ok: kept\n{lines}\n{lines + 1}\n")


async def test_a_sandbox_that_cannot_be_filled_again_is_let_go(
    docker_run: StoredRun, engine: docker.DockerClient
) -> None:
    """Its state is lost, and what the command left is in the way: no connection stays open."""
    number = await docker_run.add("rm kept; mkdir kept; echo begun; sleep 60")
    worker = docker_run.worker()
    acting = await worker.begin(number)
    engine.containers.get(container_name(docker_run.id)).remove(force=True)
    engine.volumes.get(volume_names(docker_run.id)[1]).remove()
    with pytest.raises(SandboxLost):
        await acting
    assert (await worker.act(number)).status == "unknown"
    container = engine.containers.get(container_name(docker_run.id))
    async with asyncio.timeout(10):
        while "relay" in str(container.top()["Processes"]):
            await asyncio.sleep(0.1)


async def test_a_result_is_recovered_when_the_engine_is_back(
    docker_run: StoredRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Meanwhile each attempt, by this worker or a new one, is worth another; none has a result."""
    socket = tmp_path / "engine.sock"
    number = await docker_run.add(COUNT)
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{socket}")
        worker, later = docker_run.worker(), docker_run.worker()
    async with forwarded(socket):
        acting = await worker.begin(number)
    for attempt in (acting, worker.act(number), later.act(number)):
        with pytest.raises(SandboxLost):
            await attempt
    assert await docker_run.result(number) is None
    async with forwarded(socket):
        await later.act(number)
    assert (await docker_run.told(number)).startswith("ok: begun\n2\n[exit code 0")


async def test_a_stopped_engine_leaves_the_outcome_unknown(
    docker_run: StoredRun,
    engine: docker.DockerClient,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Its containers die with it; when it is back, the command is not run again."""
    socket = tmp_path / "engine.sock"
    number = await docker_run.add(LONG)
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{socket}")
        worker = docker_run.worker()
    async with forwarded(socket):
        acting = await worker.begin(number)
    engine.containers.get(container_name(docker_run.id)).kill()
    for attempt in (acting, worker.act(number)):
        with pytest.raises(SandboxLost):
            await attempt
    async with forwarded(socket):
        await worker.act(number)
    await judge_unknown(docker_run, number)
    assert (await docker_run.carry_out("wc -l < count")).startswith("ok: 2\n")


async def test_a_worker_that_is_set_wrong_costs_no_call(
    docker_run: StoredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it has begun or not, it waits for a worker that is set right."""
    begun, other = await docker_run.add(LONG), await docker_run.add("true")
    worker = docker_run.worker()
    acting = await worker.begin(begun)
    place = docker_run.place
    await worker.sandboxes.forget(place, await worker.sandboxes.at(docker_run.id, place))
    with pytest.raises(SandboxLost):
        await acting
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", "ssh://nowhere")
        lost = docker_run.worker()
    for call in (begun, other):
        with pytest.raises(SandboxLost, match="DOCKER_HOST is 'ssh://nowhere'"):
            await lost.act(call)
    assert (await docker_run.worker().act(other)).status == "ok"
