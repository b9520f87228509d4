"""Whose child a run is and its place in a team, and the team's notes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("run", sa.Column("parent", sa.Text))
    op.add_column("run", sa.Column("team", sa.Text))
    op.add_column("run", sa.Column("member", sa.String))
    op.add_column("run", sa.Column("task_id", sa.String))
    op.add_column("run", sa.Column("seat", sa.JSON))
    op.create_index("ix_run_parent", "run", ["parent"])
    op.create_index("ix_run_team", "run", ["team"])
    op.create_index("ix_claim_run_id", "claim", ["run_id"])
    op.create_index("ix_entry_run_id_created_at", "entry", ["run_id", "created_at"])
    op.drop_index("ix_entry_run_id", "entry")
    op.create_table(
        "note",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("team", sa.Text, nullable=False, index=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
