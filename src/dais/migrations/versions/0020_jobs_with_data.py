"""jobs with data of the lake"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_id = sa.String(length=36)


def upgrade() -> None:
    op.add_column("jobs", sa.Column("pins", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("phase", sa.String(length=16), nullable=True))
    for name in ("phase_done", "phase_total", "phase_at"):
        op.add_column("runs", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("partial", sa.String(length=71), nullable=True))
    op.create_table(
        "job_inputs",
        sa.Column("job_id", _id, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("set_version_id", _id, nullable=False),
        sa.Column("target", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_inputs_job_id_jobs"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["set_version_id"], ["file_set_versions.id"], name=op.f("fk_job_inputs_set_version_id_file_set_versions")
        ),
        sa.PrimaryKeyConstraint("job_id", "position", name=op.f("pk_job_inputs")),
    )
    op.create_index("ix_job_inputs_set_version_id", "job_inputs", ["set_version_id"])
    op.create_table(
        "job_codes",
        sa.Column("job_id", _id, nullable=False),
        sa.Column("file_version_id", _id, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_codes_job_id_jobs"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["file_version_id"], ["file_versions.id"], name=op.f("fk_job_codes_file_version_id_file_versions")
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_codes")),
    )
    op.create_index("ix_job_codes_file_version_id", "job_codes", ["file_version_id"])
    op.create_table(
        "job_outputs",
        sa.Column("job_id", _id, nullable=False),
        sa.Column("run_index", sa.Integer(), nullable=False),
        sa.Column("set_version_id", _id, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_outputs_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "run_index", name=op.f("pk_job_outputs")),
    )
