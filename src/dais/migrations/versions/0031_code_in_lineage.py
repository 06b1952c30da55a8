"""code in lineage"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0028"
branch_labels = None
depends_on = None

_id = sa.String(length=36)


def upgrade() -> None:
    op.create_table(
        "derivation_codes",
        sa.Column("derivation_id", _id, nullable=False),
        sa.Column("file_version_id", _id, nullable=False),
        sa.Column("account_id", _id, nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["derivation_id"], ["derivations.id"], name=op.f("fk_derivation_codes_derivation_id_derivations")
        ),
        sa.PrimaryKeyConstraint("derivation_id", "file_version_id", name=op.f("pk_derivation_codes")),
    )
    op.create_index("ix_derivation_codes_file_version_id", "derivation_codes", ["file_version_id"])
    # Of jobs that are still there it is known which file had their code.
    op.execute(
        "INSERT INTO derivation_codes (derivation_id, file_version_id, account_id, path, version) "
        "SELECT derivations.id, job_codes.file_version_id, files.account_id, files.path, file_versions.version "
        "FROM derivations JOIN job_codes ON job_codes.job_id = derivations.job_id "
        "JOIN file_versions ON file_versions.id = job_codes.file_version_id "
        "JOIN files ON files.id = file_versions.file_id"
    )
