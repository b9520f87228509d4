"""Sandboxes in a real Docker engine."""

import asyncio
import io
import os
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import docker
import pytest

from perdure.contracts import SandboxSpec
from perdure.sandbox.docker.backend import Docker
from perdure.sandbox.docker.recipe import container_name, volume_names
from perdure.sandbox.found import Found
from perdure.sandbox.sandbox import Command, SandboxError, SandboxLost
from tests.sandbox.docker_trial import Trial, details, shell
from tests.sandbox.forwarder import forwarded

NOBODY = 65534
ROOT = Path(__file__).parents[2]


async def test_a_second_worker_finds_the_sandbox_of_the_first(docker_trial: Trial) -> None:
    """The same life of the same container, whoever asks for its name."""
    name = docker_trial.name()
    first, second = await docker_trial.open(name), await docker_trial.open(name)
    assert first.incarnation == second.incarnation


async def test_two_workers_may_make_a_sandbox_at_the_same_time(docker_trial: Trial) -> None:
    """One makes it, the others wait for that, and all can use it."""
    name = docker_trial.name()
    shims = await asyncio.gather(*(docker_trial.open(name) for _ in range(4)))
    assert len({shim.incarnation for shim in shims}) == 1


async def test_a_sandbox_whose_maker_died_is_finished_by_the_next(
    docker_trial: Trial, engine: docker.DockerClient
) -> None:
    """A worker may die between making the container and starting it."""
    name = docker_trial.name()
    await docker_trial.open(name)
    made = engine.containers.get(container_name(name)).attrs
    await docker_trial.worker().remove(name)
    files, state = volume_names(name)
    engine.containers.create(
        docker_trial.image,
        entrypoint=made["Config"]["Entrypoint"],
        name=container_name(name),
        network_mode="none",
        volumes=[f"{files}:/workspace", f"{state}:/perdure"],
    )
    assert (await docker_trial.open(name)).incarnation


async def test_a_killed_container_is_started_again_with_its_files(
    docker_trial: Trial, engine: docker.DockerClient
) -> None:
    """It is a new life, in which what ran is lost and what was written is there."""
    name = docker_trial.name()
    before = await docker_trial.open(name)
    await shell(before, "echo kept > file")
    engine.containers.get(container_name(name)).kill()
    with pytest.raises(SandboxLost):
        await shell(before, "true")
    after = await docker_trial.open(name)
    assert (await shell(after, "cat file")).head == b"kept\n"
    assert after.incarnation != before.incarnation


async def test_removal_leaves_no_container_and_no_volume(
    docker_trial: Trial, engine: docker.DockerClient
) -> None:
    """Removing it once more, or by two at the same time, is no error."""
    name, worker = docker_trial.name(), docker_trial.worker()
    await docker_trial.open_by(worker, name)
    await asyncio.gather(worker.remove(name), worker.remove(name))
    await worker.remove(name)
    left = f"perdure-{name}"
    assert engine.containers.list(all=True, filters={"name": left}) == []
    assert engine.volumes.list(filters={"name": left}) == []
    assert await worker.found() == []


async def test_sandboxes_are_found_by_their_data_directory(docker_trial: Trial) -> None:
    """With what a reaper decides by; those of other data directories are not ours."""
    name = docker_trial.name()
    await docker_trial.open(name)
    run, workflow_id, deadline = f"run-{name}", f"agent-{name}", 1_700_000_000.0
    expected = Found(
        name=name, kind="docker", run=run, workflow_id=workflow_id, deadline=deadline, cluster="c"
    )
    assert await docker_trial.worker().found() == [expected]
    other = Docker(docker_trial.image, "another-home")
    assert await other.found() == []
    await other.close()


async def test_what_is_left_of_a_sandbox_is_found_and_removed(
    docker_trial: Trial, engine: docker.DockerClient
) -> None:
    """A volume without its container is all that a half-done removal may leave."""
    name, worker = docker_trial.name(), docker_trial.worker()
    await docker_trial.open_by(worker, name)
    engine.containers.get(container_name(name)).remove(force=True)
    assert [found.name for found in await worker.found()] == [name]
    await worker.remove(name)
    assert await worker.found() == []


async def test_limits_are_set(docker_trial: Trial, engine: docker.DockerClient) -> None:
    """The engine holds the container to the agent's limits, and to nothing but them."""
    name = docker_trial.name()
    await docker_trial.open(name, SandboxSpec(memory_mb=300, cpus=0.5, processes=40))
    host = engine.containers.get(container_name(name)).attrs["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == (300 + 48) * 1024**2
    assert (host["NanoCpus"], host["PidsLimit"]) == (500_000_000, 40 + 32)
    assert (host["ReadonlyRootfs"], host["Privileged"]) == (True, False)
    assert host["CapDrop"] == ["ALL"]
    capabilities = {each.removeprefix("CAP_") for each in host["CapAdd"]}
    assert capabilities == {"SETUID", "SETGID", "KILL", "CHOWN"}
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert (host["IpcMode"], host["LogConfig"]["Type"]) == ("private", "none")


async def test_more_processors_than_there_are_is_all_of_them(
    docker_trial: Trial, engine: docker.DockerClient
) -> None:
    """An agent's file is written for more than one machine."""
    name = docker_trial.name()
    await docker_trial.open(name, SandboxSpec(cpus=1000))
    limit = engine.containers.get(container_name(name)).attrs["HostConfig"]["NanoCpus"]
    assert limit == engine.info()["NCPU"] * 10**9


async def test_commands_see_nothing_of_the_worker(
    docker_trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their variables are the image's and the agent's own, in this process and in its parents."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    sandbox = await docker_trial.open(docker_trial.name())
    seen = await shell(sandbox, "env; cat /proc/*/environ")
    assert b"HOME=/agent" in seen.head
    assert b"secret" not in seen.head + seen.tail


async def test_commands_can_write_where_they_should(docker_trial: Trial) -> None:
    """The workspace, /tmp and the home are the agent's, to execute from too; the rest is not."""
    sandbox = await docker_trial.open(docker_trial.name())
    script = "cp $(which true) $0/program && $0/program && echo $(id -u) in $0"
    for folder in ("/workspace", "/tmp", "/agent"):  # noqa: S108 - the container's
        command = Command(("sh", "-c", script, folder))
        outcome = await sandbox.run(f"{uuid4()}:1", command, lambda _: None)
        assert outcome.head == f"1000 in {folder}\n".encode()
    for place in ("/etc/x", "/perdure/x", "/run/x", "/usr/bin/x"):
        assert (await shell(sandbox, f"echo > {place}")).code != 0


@pytest.mark.parametrize("network", [False, True])
async def test_the_network_is_there_only_when_it_is_asked_for(
    docker_trial: Trial, network: bool
) -> None:
    """Without it there is the loopback interface alone."""
    sandbox = await docker_trial.open(docker_trial.name(), SandboxSpec(network=network))
    devices = (await shell(sandbox, "cat /proc/net/dev")).head
    assert (b"eth0" in devices) is network


async def test_a_command_outlives_its_worker_and_its_outcome_is_found(docker_trial: Trial) -> None:
    """A worker is killed in the middle of a step; the next one gets what it printed, run once."""
    name, step = docker_trial.name(), f"{uuid4()}:1"
    script = "echo began >> log; echo ready; sleep 1.5; cat log"
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.sandbox.docker_worker",
        *(docker_trial.image, docker_trial.home, name, step, script),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"ready\n"
    worker.kill()
    await worker.wait()
    sandbox = await docker_trial.open(name)
    outcome = await sandbox.run(step, Command(("sh", "-c", script)), lambda _: None)
    assert (outcome.state, outcome.code, outcome.head) == ("done", 0, b"ready\nbegan\n")


async def test_the_engine_may_be_reached_over_tcp(
    docker_trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DOCKER_HOST may name a port as well as a socket."""
    async with forwarded() as host:
        with monkeypatch.context() as patch:
            patch.setenv("DOCKER_HOST", host)
            sandbox = await docker_trial.open(docker_trial.name())
        assert (await shell(sandbox, "echo here")).head == b"here\n"
        await sandbox.close()


async def test_an_engine_that_goes_away_is_worth_another_attempt(
    docker_trial: Trial, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The sandbox and its commands are lost to this worker, and found again when it is back."""
    name = docker_trial.name()
    async with forwarded(tmp_path / "engine.sock") as host:
        with monkeypatch.context() as patch:
            patch.setenv("DOCKER_HOST", host)
            worker = docker_trial.worker()
        sandbox = await docker_trial.open_by(worker, name)
    with pytest.raises(SandboxLost):
        await shell(sandbox, "true")
    with pytest.raises(SandboxLost):
        await docker_trial.open_by(worker, name)
    assert (await docker_trial.open(name)).incarnation == sandbox.incarnation


async def test_a_missing_image_is_an_error_with_a_cure(docker_trial: Trial) -> None:
    """Whether the worker's setting names it or the agent's file."""
    worker = Docker("no-such-image", docker_trial.home)
    assert "sandbox/offline-image no-such-image" in str(await worker.problem())
    with pytest.raises(SandboxError, match="docker build -t no-such-image"):
        await docker_trial.open_by(worker, docker_trial.name())
    with pytest.raises(SandboxError, match="'nor-this'"):
        await docker_trial.open(docker_trial.name(), SandboxSpec(image="nor-this"))
    await worker.close()


@pytest.fixture
def bare_image(engine: docker.DockerClient) -> Iterator[str]:
    """An image with nothing in it."""
    packed, tag = io.BytesIO(), f"perdure-bare-{uuid4().hex}"
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("nothing"))
    engine.api.import_image_from_data(packed.getvalue(), repository=tag)
    yield tag
    engine.images.remove(tag)


async def test_an_image_without_python_is_an_error_with_a_cure(
    docker_trial: Trial, bare_image: str
) -> None:
    """The shim is a Python program."""
    name, worker = docker_trial.name(), docker_trial.worker()
    with pytest.raises(SandboxError, match="has no python3 on its PATH"):
        await docker_trial.open_by(worker, name, SandboxSpec(image=bare_image))
    await worker.remove(name)


@pytest.mark.parametrize(
    ("host", "said", "raised"),
    [
        ("unix:///no/such.sock", "apt install docker.io", SandboxLost),
        ("ssh://somewhere", "ssh -L", SandboxLost),
    ],
)
async def test_an_engine_that_cannot_be_used_is_a_problem_with_a_cure(
    host: str, said: str, raised: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by `problem` to those who choose; one that may come back is worth another attempt."""
    monkeypatch.setenv("DOCKER_HOST", host)
    worker = Docker("perdure-sandbox", "home")
    problem = await worker.problem()
    assert problem is not None
    assert (said in problem, host in problem) == (True, True)
    with pytest.raises(raised, match=said):
        await worker.open("name", SandboxSpec(), details("name"))
    await worker.close()


@pytest.fixture
def forbidden(tmp_path: Path) -> Iterator[Path]:
    """A socket that this user may not even look for."""
    user = os.geteuid()
    tmp_path.chmod(0)
    os.seteuid(NOBODY if user == 0 else user)
    yield tmp_path / "engine.sock"
    os.seteuid(user)
    tmp_path.chmod(0o700)


async def test_an_engine_of_others_is_a_problem_with_a_cure(
    forbidden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user has to become a member of the engine's group."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{forbidden}")
    worker = Docker("perdure-sandbox", "home")
    assert "usermod -aG docker" in str(await worker.problem())
    await worker.close()


async def test_an_image_that_is_there_is_no_problem(docker_trial: Trial) -> None:
    """Docker can be chosen."""
    assert await docker_trial.worker().problem() is None
