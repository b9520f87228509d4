"""A data directory, and what the processes that share it leave there for each other."""

import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from perdure.errors import ServerError
from perdure.hosting.lock import is_held
from perdure.hosting.server import is_alive


class HostRecord(BaseModel):
    """What the host process says of itself once it is ready, or of why it could not start."""

    model_config = ConfigDict(frozen=True)

    pid: int
    problem: str | None = None
    server: Literal["embedded", "found"] = "embedded"
    address: str = ""
    ui_url: str | None = None
    http_url: str | None = None
    environment: dict[str, str] = {}
    """Fingerprints of the variables that it started with and that decide what a run does."""


class Home:
    """The data directory: which file means what."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clients_lock = path / "clients.lock"
        """Held shared by each command that needs the server and the worker."""
        self.host_lock = path / "host.lock"
        """Held exclusively by the host, the one process that has these."""
        self.host_log = path / "host.log"
        self._record = path / "host.json"
        self._detached = path / "detached"

    @classmethod
    def prepare(cls, path: Path) -> Self:
        """Create the directory, or say why it cannot be used."""
        home = cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)  # transcripts are private
            home._detached.mkdir(exist_ok=True)
            home.clients_lock.touch()
        except OSError as error:
            message = (
                f"The data directory {path} cannot be written: {error.strerror}."
                " Set PERDURE_HOME to another one, or correct its permissions."
            )
            raise ServerError(message) from None
        return home

    @property
    def has_server(self) -> bool:
        """Whether an embedded server has kept runs here."""
        return (self.path / "temporal.db").exists()

    @property
    def has_host(self) -> bool:
        """Whether there is a host: ready, starting or ending."""
        return self.host_lock.exists() and is_held(self.host_lock)

    def host(self) -> HostRecord | None:
        """The host, if it is there and ready."""
        record = self.last_record()
        ready = record is not None and record.problem is None and is_alive(record.pid)
        return record if ready and self.has_host else None

    def last_record(self) -> HostRecord | None:
        try:
            return HostRecord.model_validate_json(self._record.read_text())
        except (OSError, ValidationError):
            return None

    def announce(self, record: HostRecord) -> None:
        draft = self._record.with_suffix(".new")
        draft.write_text(record.model_dump_json(indent=2))
        draft.replace(self._record)

    def withdraw(self) -> None:
        self._record.unlink(missing_ok=True)

    def detach(self, workflow_id: str) -> None:
        """Ask the host to stay until this run has ended."""
        (self._detached / workflow_id).touch()

    def detached(self) -> list[str]:
        return sorted(marker.name for marker in self._detached.iterdir())

    def forget(self, workflow_id: str) -> None:
        (self._detached / workflow_id).unlink(missing_ok=True)


def fingerprints(environment: Mapping[str, str]) -> dict[str, str]:
    """A digest of each variable that a worker acts on; not the value, which may be a key."""
    return {
        name: blake2b(value.encode(errors="surrogateescape"), digest_size=8).hexdigest()
        for name, value in environment.items()
        if _matters(name)
    }


def _matters(name: str) -> bool:
    return name in {"DATABASE_URL", "DOCKER_HOST", "PERDURE_MODEL"} or name.endswith(
        ("_API_KEY", "_BASE_URL")
    )


def differences(record: HostRecord) -> list[str]:
    """Variables that were otherwise when the host started, and that it therefore does not see."""
    mine, its = fingerprints(os.environ), record.environment
    return sorted(name for name in mine.keys() | its.keys() if mine.get(name) != its.get(name))
