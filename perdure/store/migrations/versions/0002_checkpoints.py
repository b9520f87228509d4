"""Checkpoints of a run's files, and the pieces of their contents."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "checkpoint",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("run_id", sa.String, nullable=False, index=True),
        sa.Column("parent_id", sa.String),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("turn_id", sa.String),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("files", sa.Integer, nullable=False),
        sa.Column("new_bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changes", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "piece",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
