"""What the environment says: where data lives, which model, database, server and ports."""

from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from perdure.contracts import SandboxKind
from perdure.errors import PerdureError


class SettingsError(PerdureError):
    """An environment variable has a value that cannot be used."""


_PREFIX = "PERDURE_"


class Environment(BaseSettings):
    """One reading of the environment; a variable that is set to nothing counts as not set."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, env_prefix=_PREFIX
    )

    @classmethod
    def load(cls) -> Self:
        try:
            return cls()
        except ValidationError as error:
            raise SettingsError(_sentence(error)) from None


class Settings(Environment):
    """What commands and workers stand on; tools that have settings read their own."""

    home: Path = Field(default=Path(".perdure"), validate_default=True)
    """Data directory; made absolute."""
    database_url: str | None = Field(default=None, alias="DATABASE_URL")
    ui_url: str | None = None
    """Address of the Web UI of a Temporal server that Perdure does not start itself."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Ports of the embedded server: gRPC, Web UI and HTTP API. None lets the home choose."""
    ui_port: int | None = Field(default=None, ge=1, le=65535)
    http_port: int | None = Field(default=None, ge=1, le=65535)

    sandbox: SandboxKind = "auto"
    """Where commands run, for agents that do not say."""
    sandbox_image: str = "perdure-sandbox"
    """The Docker image for agents that do not name one."""

    max_depth: int = Field(default=3, ge=0, le=20)
    """How deep runs may delegate: 0 lets none, 3 a child of a child of a child."""
    max_children: int = Field(default=8, ge=0, le=100)
    """To how many runs one step may delegate."""

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("home")
    @classmethod
    def _is_no_file(cls, home: Path) -> Path:
        if home.exists() and not home.is_dir():
            raise ValueError("it is a file, and the data directory is a folder")
        return home

    @property
    def store_url(self) -> str:
        """The transcript store: `DATABASE_URL`, or a SQLite file in the data directory."""
        return self.database_url or f"sqlite:///{self.home / 'store.db'}"


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    field, value, cause = str(first["loc"][0]), first["input"], first["msg"]
    name = field if field.isupper() else f"{_PREFIX}{field.upper()}"
    return f"{name} is '{value}', which cannot be used: {cause}. Correct it or unset it."
