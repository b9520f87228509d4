"""The tables of the transcript store.

Nothing in them is ever changed or deleted, but that `run` is changed when the run ends. Ids of
turns and entries are derived from the key that the workflow chose, so a retry computes the same id.
"""

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Index,
    LargeBinary,
    Text,
    TypeDecorator,
)
from sqlmodel import Field, SQLModel

from perdure.contracts import Seat
from perdure.plain_text import storable


def now() -> datetime:
    return datetime.now(UTC)


class Words(TypeDecorator[str]):
    """Text from outside, of any length and with any characters."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return storable(value) if value is not None else None


class Instant(TypeDecorator[datetime]):
    """A moment in UTC; SQLite forgets the zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def _created_at(*, index: bool = False) -> Any:
    return Field(default_factory=now, sa_column=Column(Instant, index=index, nullable=False))


def digest(*texts: str) -> str:
    """Short, and the same for the same texts."""
    return blake2b("\0".join(texts).encode(errors="replace"), digest_size=6).hexdigest()


def id_of(kind: str, key: str) -> str:
    """The id of the turn (`t-…`), entry (`e-…`), checkpoint (`c-…`) or note (`n-…`) of this key."""
    return f"{kind}-{blake2b(key.encode(), digest_size=12).hexdigest()}"


class Run(SQLModel, table=True):
    """One agent's work on one task, or a team's on its goal."""

    id: str = Field(primary_key=True)
    workflow_id: str = Field(sa_column=Column(Words, index=True, nullable=False))
    agent: str
    model: str = Field(sa_column=Column(Words, nullable=False))
    spec: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    """The `AgentSpec` as resolved when the run was opened; a team's `TeamSpec`."""
    task: str = Field(sa_column=Column(Words, nullable=False))
    parent_head: str | None = None
    conversation: str | None = Field(default=None, sa_column=Column(Words, index=True))
    user: str | None = Field(default=None, sa_column=Column(Words, index=True))
    parent: str | None = Field(default=None, sa_column=Column(Words, index=True))
    """Id of the workflow that started this one."""
    team: str | None = Field(default=None, sa_column=Column(Words, index=True))
    """Id of the workflow of the team in which it is a member's run."""
    member: str | None = None
    task_id: str | None = None
    """In the team's ledger; None for the lead."""
    seat: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))
    """The `Seat` in the team."""
    created_at: datetime = _created_at(index=True)
    ended_at: datetime | None = Field(default=None, sa_column=Column(Instant))
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))
    """The `AgentResult`, once the run has ended."""


def seat_of(run: Run) -> Seat | None:
    """The run's place in a team, if it has one."""
    return Seat.model_validate(run.seat) if run.seat else None


class Turn(SQLModel, table=True):
    """One think: what the model was shown since the parent turn, and what it replied."""

    id: str = Field(primary_key=True)
    run_id: str = Field(index=True)
    parent_id: str | None
    step: int
    """Depth in the tree: 1 for a root."""
    entries: list[str] = Field(sa_column=Column(JSON, nullable=False))
    """Ids of the entries that were shown, in order."""
    thought: str = Field(sa_column=Column(Words, nullable=False))
    """What the reply says beside its calls."""
    calls: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))
    """Tool calls of the reply: `id`, `tool`, `arguments` (the model's own text), `problem`."""
    problem: str | None = Field(default=None, sa_column=Column(Words))
    """Why the reply is of no use, in words for the model."""
    characters: int
    """Length of the entries and the reply as a model is shown them."""
    model: str = Field(sa_column=Column(Words, nullable=False))
    finish_reason: str = Field(sa_column=Column(Words, nullable=False))
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    seconds: float
    created_at: datetime = _created_at()


class StoredEntry(SQLModel, table=True):
    """Something the model is shown: a task, a message, a notice, or a tool call's result."""

    __tablename__ = "entry"
    # With the moment: the last one of a run is then found without reading through its texts.
    __table_args__ = (Index("ix_entry_run_id_created_at", "run_id", "created_at"),)

    id: str = Field(primary_key=True)
    run_id: str
    kind: str
    call: str | None = Field(default=None, sa_column=Column(Words))
    """For a result: the tool call's id."""
    tool: str | None = Field(default=None, sa_column=Column(Words))
    status: str | None = None
    """For a result: `ok`, `error` or `unknown`."""
    text: str = Field(sa_column=Column(Words, nullable=False))
    dropped: int = 0
    """Characters beyond the cap that were not kept."""
    seconds: float = 0.0
    created_at: datetime = _created_at()


class Claim(SQLModel, table=True):
    """A mark set before an effect begins, so that a retry knows that it may have happened."""

    id: str = Field(primary_key=True)
    run_id: str = Field(index=True)
    detail: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    created_at: datetime = _created_at()


class Checkpoint(SQLModel, table=True):
    """A state of a run's files, as what differs from the state before."""

    id: str = Field(primary_key=True)
    run_id: str = Field(index=True)
    parent_id: str | None
    state: str
    """Identity of the state (`inside.index.identity`)."""
    turn_id: str | None
    """The turn whose call left it; None for the files with which the run began."""
    key: str = Field(sa_column=Column(Words, nullable=False))
    """Of the call."""
    files: int
    """Paths that changed."""
    new_bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    """Of contents that no checkpoint had before."""
    created_at: datetime = _created_at()
    changes: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """Compressed JSON: an entry of `inside.index` by path, or null for what is gone.

    The last column: SQLite reads past a long value to get at those after it.
    """


class Piece(SQLModel, table=True):
    """A piece of a file's content, kept once however many files and runs have it."""

    id: str = Field(primary_key=True)
    """Digest of the content (`inside.pieces.digest`)."""
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """Compressed, if that made it shorter than `size`."""
    size: int
    created_at: datetime = _created_at()


class Note(SQLModel, table=True):
    """A version of a text that a team's members write for each other."""

    id: str = Field(primary_key=True)
    """Of team, name and version: of two writers of one version the first stays."""
    team: str = Field(sa_column=Column(Words, index=True, nullable=False))
    """The id of its workflow."""
    name: str
    version: int
    """1, 2, …"""
    author: str
    """A member."""
    key: str = Field(sa_column=Column(Words, nullable=False))
    """Of the call that wrote it."""
    text: str = Field(sa_column=Column(Words, nullable=False))
    created_at: datetime = _created_at()
