"""The ports of a home's embedded server, remembered so that its addresses stay the same."""

import random
import socket
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from perdure.errors import ServerError
from perdure.settings import Settings

# Below the ranges from which Linux and macOS take the ports of outgoing connections, so that
# a remembered port is seldom in use by chance.
_CHOICE = range(20_000, 32_000)
_USUAL_UI = 8233


class Ports(BaseModel):
    model_config = ConfigDict(frozen=True)

    grpc: int
    ui: int
    http: int

    @classmethod
    def choose(cls, settings: Settings) -> Self:
        """For each port: the one that is set, else the one used before, else a free one."""
        file = settings.home / "ports.json"
        before = cls._read(file)
        chosen = cls(
            grpc=_port("PERDURE_PORT", settings.port, before.grpc if before else None),
            ui=_port("PERDURE_UI_PORT", settings.ui_port, before.ui if before else _USUAL_UI),
            http=_port("PERDURE_HTTP_PORT", settings.http_port, before.http if before else None),
        )
        file.write_text(chosen.model_dump_json())
        return chosen

    @classmethod
    def _read(cls, file: Path) -> Self | None:
        try:
            return cls.model_validate_json(file.read_text())
        except (FileNotFoundError, ValidationError):
            return None


def _port(variable: str, wanted: int | None, preferred: int | None) -> int:
    if wanted is not None:
        if not is_free(wanted):
            message = (
                f"Port {wanted}, set by {variable}, is in use by another program."
                f" Stop that program, set another port, or unset {variable}."
            )
            raise ServerError(message)
        return wanted
    return preferred if preferred is not None and is_free(preferred) else free_port()


def free_port() -> int:
    return next(port for port in random.sample(_CHOICE, len(_CHOICE)) if is_free(port))


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
