"""jobs are found by the last digits of their ids, which pages have in their addresses"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("short_id", sa.String(length=8), server_default="", nullable=False))
        batch_op.create_index("ix_jobs_short_id", ["short_id"], unique=False)
    op.execute("UPDATE jobs SET short_id = substr(id, 29)")
