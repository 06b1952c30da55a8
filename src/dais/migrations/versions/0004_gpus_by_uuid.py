"""GPUs by UUID: which a run was given, and who holds which now"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("gpus", sa.Text(), nullable=True))
    op.create_table(
        "gpu_holds",
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("uuid", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_gpu_holds_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("node", "uuid", name=op.f("pk_gpu_holds")),
    )
    with op.batch_alter_table("gpu_holds", schema=None) as batch_op:
        batch_op.create_index("ix_gpu_holds_run_id", ["run_id"], unique=False)
