"""what is free on a node's disk, and logs that expire"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_stored = sa.text("log_bytes > 0 AND shipped_at IS NOT NULL AND log_expired_at IS NULL")


def upgrade() -> None:
    for column in (
        sa.Column("disk_free", sa.BigInteger(), nullable=True),
        sa.Column("disk_size", sa.BigInteger(), nullable=True),
        sa.Column("no_room", sa.Text(), nullable=True),
    ):
        op.add_column("nodes", column)
    op.add_column("runs", sa.Column("log_expired_at", sa.BigInteger(), nullable=True))
    op.create_index("ix_runs_stored_logs", "runs", ["shipped_at"], sqlite_where=_stored, postgresql_where=_stored)
    op.create_table(
        "log_limits",
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("days", sa.Integer(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_log_limits_account_id_accounts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_log_limits")),
    )
