"""The Docker engine: the way to it, and its errors as sentences."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from urllib.parse import urlsplit

import requests
from docker import DockerClient
from docker.errors import APIError, DockerException, ImageNotFound
from docker.utils import parse_host

from perdure.sandbox.sandbox import SandboxError, SandboxLost

_CONFLICT = 409
_REACH_SECONDS = 10.0
_SAID = 500
"""Characters of its words that are repeated: a failure that is too long ends no activity."""
_ANSWER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Traits:
    """What a container's limits depend on."""

    processors: int
    is_podman: bool


class Engine:
    """The engine that `DOCKER_HOST` names; what it is used for blocks."""

    def __init__(self) -> None:
        self.host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        self._client: DockerClient | None = None
        self._connecting = Lock()
        self._traits: Traits | None = None

    @property
    def address(self) -> str:
        """`http+unix://PATH` or `http://HOST:PORT`.

        Raises:
            SandboxError: the engine can be reached in neither way.
        """
        if self.host.startswith(("unix://", "tcp://")) and not os.environ.get("DOCKER_TLS_VERIFY"):
            return str(parse_host(self.host))
        raise SandboxLost(  # what is there already waits for a worker that is set right
            f"DOCKER_HOST is '{self.host}', and only engines at unix:// and at tcp:// without TLS"
            " can be used. Forward it to a socket: ssh -L /tmp/docker.sock:/var/run/docker.sock"
            " HOST, and set DOCKER_HOST=unix:///tmp/docker.sock."
        )

    @contextmanager
    def client(self) -> Iterator[DockerClient]:
        """The SDK's client, for a block of calls whose errors become ours.

        Raises:
            SandboxError: the engine may not be used, or does not do what it is asked for.
            SandboxLost: no engine answers, or what was there is gone.
        """
        self._reach()
        try:
            yield self._connected()
        except ImageNotFound as error:
            raise SandboxError(f"The Docker image is not there: {error.explanation}.") from error
        except APIError as error:
            lost = error.is_server_error() or error.status_code == requests.codes.not_found
            kind = SandboxLost if lost else SandboxError
            raise kind(f"The Docker engine says: {str(error.explanation)[:_SAID]}.") from error
        except (requests.RequestException, DockerException) as error:
            raise SandboxLost(f"The Docker engine at {self.host} is gone: {error}.") from error

    def image(self, name: str) -> list[str]:
        """The variables that the image sets.

        Raises:
            SandboxError: it is not there; the cure is in the message.
        """
        with self.client() as client:
            try:
                found = client.images.get(name)
            except ImageNotFound:
                raise SandboxError(
                    f"The Docker image '{name}' is not there. Build it: docker build -t {name}"
                    f" sandbox/, or on a machine without a registry: sandbox/offline-image {name}."
                ) from None
        return list(found.attrs["Config"].get("Env") or ())

    def traits(self) -> Traits:
        if self._traits is None:
            with self.client() as client:
                components = client.version().get("Components") or ()
                self._traits = Traits(
                    processors=int(client.info()["NCPU"]),
                    is_podman=any("Podman" in each["Name"] for each in components),
                )
        return self._traits

    def labels(self, label: str) -> list[dict[str, str]]:
        """Those of each container and volume that has this label."""
        with self.client() as client:
            wanted = {"label": label}
            containers = client.api.containers(all=True, filters=wanted)
            volumes = client.api.volumes(filters=wanted)["Volumes"] or []
        return [each["Labels"] for each in (*containers, *volumes)]

    def close(self) -> None:
        with self._connecting:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _reach(self) -> None:
        """Find out before the SDK does, which would leave a socket open and hide the reason."""
        address = urlsplit(self.address)
        try:
            if address.scheme == "http+unix":
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(address.path)
            else:
                socket.create_connection((address.hostname, address.port), _REACH_SECONDS).close()
        except PermissionError:
            raise SandboxError(
                f"This user may not use the Docker engine at {self.host}. As root:"
                " usermod -aG docker USER, and log in again."
            ) from None
        except OSError as error:  # what is there may have begun commands: it is asked again
            raise SandboxLost(
                f"No Docker engine answers at {self.host}: {error}. Install one: apt install"
                " docker.io, start it: systemctl start docker, or name another with DOCKER_HOST."
            ) from error

    def _connected(self) -> DockerClient:
        with self._connecting:
            if self._client is None:
                self._client = DockerClient(base_url=self.host, timeout=_ANSWER_SECONDS)
            return self._client


def is_conflict(error: APIError) -> bool:
    """Whether the name is taken, or somebody else is using or removing the thing."""
    # Podman says 500 for a name that is taken.
    said = str(error.explanation)
    return error.status_code == _CONFLICT or "already in use" in said or "already exists" in said
