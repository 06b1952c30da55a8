"""history stored by job, names of those that have one: fewer trees are written for each job"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_columns = "job_id, id, at, run_index, state, reason, detail"


def upgrade() -> None:
    op.drop_index("ix_job_history_job_id_id", table_name="job_history")
    if op.get_bind().dialect.name == "sqlite":
        _store_anew()
    else:
        op.drop_constraint("pk_job_history", "job_history", type_="primary")
        op.create_primary_key("pk_job_history", "job_history", ["job_id", "id"])
    named = sa.text("name IS NOT NULL")
    op.drop_index("ix_jobs_account_id_name", table_name="jobs")
    op.create_index(
        "ix_jobs_account_id_name",
        "jobs",
        ["account_id", "name"],
        unique=False,
        sqlite_where=named,
        postgresql_where=named,
    )


def _store_anew() -> None:
    """SQLite stores a table by its key only if it was made so."""
    op.create_table(
        "job_history_by_job",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("run_index", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_history_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "id", name=op.f("pk_job_history")),
        sqlite_with_rowid=False,
    )
    op.execute(f"INSERT INTO job_history_by_job ({_columns}) SELECT {_columns} FROM job_history")  # noqa: S608
    op.drop_table("job_history")
    op.rename_table("job_history_by_job", "job_history")
