"""The containers of sandboxes, each with two volumes, found again by their names."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from docker import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from perdure.contracts import SandboxSpec
from perdure.sandbox.docker import recipe
from perdure.sandbox.docker.engine import Engine, is_conflict
from perdure.sandbox.found import Found
from perdure.sandbox.sandbox import SandboxError, SandboxLost

_LOOK_SECONDS = 0.05
_MAKING_SECONDS = 3.0
_STOPPING_SECONDS = 1.0
_REMOVING_SECONDS = 20.0
_NOT_EXECUTED = (126, 127)
"""Exit codes of an init that finds no program to execute."""


class Containers:
    """Those of one data directory; every call blocks."""

    def __init__(self, engine: Engine, image: str, home: str) -> None:
        self._engine = engine
        self._image = image
        self._home = home

    def open(self, name: str, spec: SandboxSpec, details: dict[str, str]) -> str:
        """See that it runs; the path in the engine's API of a relay that may be started."""
        with self._engine.client() as client:
            container = self._container(client, name, spec, details)
            if container.status != "running":
                _start(container)
            try:
                relay = client.api.exec_create(container.id, recipe.RELAY, stdin=True, user="0:0")
            except APIError as error:
                raise _stopped(container, str(error.explanation)) from error
            return f"/v{client.api.api_version}/exec/{relay['Id']}/start"

    def stopped(self, name: str) -> SandboxError | SandboxLost | None:
        """Why the sandbox runs no more; None if it runs, or is not there."""
        deadline = time.monotonic() + _STOPPING_SECONDS
        with self._engine.client() as client, suppress(NotFound):
            container = client.containers.get(recipe.container_name(name))
            while container.status == "running":  # its init may be about to find no program
                if time.monotonic() > deadline:
                    return None
                time.sleep(_LOOK_SECONDS)
                container.reload()
            return _stopped(container, "nobody answers in it")
        return None

    def remove(self, name: str) -> None:
        with self._engine.client() as client:
            container = recipe.container_name(name)
            _insist(partial(client.api.remove_container, container, force=True, v=True))
            for volume in recipe.volume_names(name):
                _insist(partial(client.api.remove_volume, volume))

    def found(self) -> list[Found]:
        labels = self._engine.labels(f"perdure.home={self._home}")
        return list({each["perdure.name"]: _found(each) for each in labels}.values())

    def _container(
        self, client: DockerClient, name: str, spec: SandboxSpec, details: dict[str, str]
    ) -> Container:
        with suppress(NotFound):
            return _settled(client.containers.get(recipe.container_name(name)), spec)
        image = spec.image or self._image
        variables = self._engine.image(image)
        labels = self._labels(name, details)
        arguments = recipe.creation(name, spec, image, labels, self._engine.traits())
        try:
            for volume in recipe.volume_names(name):
                client.api.create_volume(volume, labels=labels)
            container = client.containers.create(**arguments)
        except APIError as error:
            if not is_conflict(error):
                raise
            return _settled(_other(client, name), spec)  # another worker was faster
        _fill(container, spec, variables)
        return container

    def _labels(self, name: str, details: dict[str, str]) -> dict[str, str]:
        return {
            "perdure.home": self._home,
            "perdure.name": name,
            "perdure.run": details["run"],
            "perdure.workflow": details["workflow_id"],
            "perdure.cluster": details["cluster"],
            "perdure.deadline": details["deadline"],
        }


def _other(client: DockerClient, name: str) -> Container:
    """The container whose name is taken; the engine takes it before it shows the container."""
    deadline = time.monotonic() + _MAKING_SECONDS
    while True:
        try:
            return client.containers.get(recipe.container_name(name))
        except NotFound:
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_SECONDS)


def _settled(container: Container, spec: SandboxSpec) -> Container:
    """A container that was found, with what its maker gave it, or died before it could give."""
    deadline = time.monotonic() + _MAKING_SECONDS
    while container.status == "created" and not _is_filled(container):
        if time.monotonic() > deadline:
            _fill(container, spec, container.attrs["Config"].get("Env") or [])
        time.sleep(_LOOK_SECONDS)
        container.reload()
    return container


def _is_filled(container: Container) -> bool:
    try:
        content, _ = container.get_archive(recipe.CONFIG)
    except NotFound:
        return False
    return b"".join(content) != b""  # read to its end, or the connection would stay in use


def _fill(container: Container, spec: SandboxSpec, variables: list[str]) -> None:
    """Give it the shim; before it is started, or the shim would read files half written."""
    container.put_archive(recipe.STATE, recipe.state_archive(spec, variables))


def _start(container: Container) -> None:
    try:
        container.start()
    except APIError as error:
        if "OCI runtime" not in str(error.explanation):
            raise
        # The engine calls this a server's error, which would be tried again for ever.
        raise SandboxError(f"Docker cannot start a sandbox here: {error.explanation}.") from error


def _insist(remove: Callable[[], object]) -> None:
    """Remove something until it is gone; somebody else may be about it, or still be using it."""
    deadline = time.monotonic() + _REMOVING_SECONDS
    while True:
        try:
            remove()
        except NotFound:
            return
        except APIError as error:
            if not is_conflict(error) or time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_SECONDS)


def _stopped(container: Container, seen: str) -> SandboxError | SandboxLost:
    container.reload()
    code = container.attrs["State"]["ExitCode"]
    image = container.attrs["Config"]["Image"]
    if code in _NOT_EXECUTED:
        return SandboxError(
            f"The Docker image '{image}' has no python3 on its PATH, and a sandbox needs one:"
            " add it to the image."
        )
    return SandboxLost(f"The sandbox stopped with exit code {code}: {seen}.")


def _found(labels: dict[str, str]) -> Found:
    return Found(
        name=labels["perdure.name"],
        kind="docker",
        run=labels["perdure.run"],
        workflow_id=labels["perdure.workflow"],
        cluster=labels["perdure.cluster"],
        deadline=float(labels["perdure.deadline"]),
    )
