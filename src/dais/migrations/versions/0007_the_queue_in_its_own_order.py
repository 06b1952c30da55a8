"""the queue in its own order: a tick reads the head, and never sorts what waits behind it"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    waiting = sa.text("state = 'PENDING'")
    op.drop_index("ix_jobs_queue", table_name="jobs")
    op.create_index(
        "ix_jobs_queue",
        "jobs",
        ["group_name", "class_rank", sa.text("bid DESC"), "queued_at", "number"],
        unique=False,
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
