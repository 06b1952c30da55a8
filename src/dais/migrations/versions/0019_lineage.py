"""who made what from what"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_id = sa.String(length=36)


def upgrade() -> None:
    op.create_table(
        "derivations",
        sa.Column("id", _id, nullable=False),
        sa.Column("job_id", _id, nullable=False),
        sa.Column("run_index", sa.Integer(), nullable=False),
        sa.Column("account_id", _id, nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_derivations")),
        sa.UniqueConstraint("job_id", "run_index", name=op.f("uq_derivations_job_id_run_index")),
    )
    for table in ("derivation_inputs", "derivation_outputs"):
        op.create_table(
            table,
            sa.Column("derivation_id", _id, nullable=False),
            sa.Column("set_version_id", _id, nullable=False),
            sa.Column("account_id", _id, nullable=False),
            sa.Column("name", sa.String(length=128), nullable=False),
            sa.Column("version", sa.Integer(), nullable=False),
            sa.ForeignKeyConstraint(
                ["derivation_id"], ["derivations.id"], name=op.f(f"fk_{table}_derivation_id_derivations")
            ),
            sa.PrimaryKeyConstraint("derivation_id", "set_version_id", name=op.f(f"pk_{table}")),
        )
        op.create_index(f"ix_{table}_set_version_id", table, ["set_version_id"])
