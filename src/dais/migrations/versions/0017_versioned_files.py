"""versioned files and file sets"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_path = sa.String(length=1024).with_variant(sa.String(length=1024, collation="C"), "postgresql")
_id = sa.String(length=36)


def upgrade() -> None:
    _files()
    _file_sets()


def _files() -> None:
    op.create_table(
        "files",
        sa.Column("id", _id, nullable=False),
        sa.Column("account_id", _id, nullable=False),
        sa.Column("path", _path, nullable=False),
        sa.Column("parent", _path, nullable=False),
        sa.Column("escaped", sa.String(), nullable=True),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.Column("given", sa.Integer(), nullable=False),
        *_made(),
        _refers("files", "account_id", "accounts"),
        _refers("files", "created_by", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_files")),
        sa.UniqueConstraint("account_id", "path", name=op.f("uq_files_account_id_path")),
    )
    op.create_index("ix_files_account_id_parent", "files", ["account_id", "parent", "path"])
    op.create_table(
        "file_directories",
        sa.Column("account_id", _id, nullable=False),
        sa.Column("path", _path, nullable=False),
        sa.Column("parent", _path, nullable=False),
        _refers("file_directories", "account_id", "accounts"),
        sa.PrimaryKeyConstraint("account_id", "path", name=op.f("pk_file_directories")),
    )
    op.create_index("ix_file_directories_account_id_parent", "file_directories", ["account_id", "parent", "path"])
    op.create_table(
        "file_versions",
        sa.Column("id", _id, nullable=False),
        sa.Column("file_id", _id, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("executable", sa.SmallInteger(), nullable=False),
        *_made(),
        _refers("file_versions", "file_id", "files"),
        _refers("file_versions", "created_by", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file_versions")),
        sa.UniqueConstraint("file_id", "version", name=op.f("uq_file_versions_file_id_version")),
    )


def _file_sets() -> None:
    op.create_table(
        "file_sets",
        sa.Column("id", _id, nullable=False),
        sa.Column("account_id", _id, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.Column("given", sa.Integer(), nullable=False),
        *_made(),
        _refers("file_sets", "account_id", "accounts"),
        _refers("file_sets", "created_by", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file_sets")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_file_sets_account_id_name")),
    )
    op.create_table(
        "file_set_versions",
        sa.Column("id", _id, nullable=False),
        sa.Column("set_id", _id, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("made_by", sa.String(length=16), nullable=False),
        sa.Column("made_by_id", _id, nullable=False),
        *_made(),
        _refers("file_set_versions", "set_id", "file_sets"),
        _refers("file_set_versions", "created_by", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file_set_versions")),
        sa.UniqueConstraint("set_id", "version", name=op.f("uq_file_set_versions_set_id_version")),
    )
    op.create_table(
        "file_set_entries",
        sa.Column("set_version_id", _id, nullable=False),
        sa.Column("path", _path, nullable=False),
        sa.Column("file_version_id", _id, nullable=False),
        _refers("file_set_entries", "set_version_id", "file_set_versions"),
        _refers("file_set_entries", "file_version_id", "file_versions"),
        sa.PrimaryKeyConstraint("set_version_id", "path", name=op.f("pk_file_set_entries")),
    )
    op.create_index("ix_file_set_entries_file_version_id", "file_set_entries", ["file_version_id"])
    op.create_table(
        "file_set_parents",
        sa.Column("set_version_id", _id, nullable=False),
        sa.Column("parent_version_id", _id, nullable=False),
        _refers("file_set_parents", "set_version_id", "file_set_versions"),
        _refers("file_set_parents", "parent_version_id", "file_set_versions"),
        sa.PrimaryKeyConstraint("set_version_id", "parent_version_id", name=op.f("pk_file_set_parents")),
    )
    op.create_index("ix_file_set_parents_parent_version_id", "file_set_parents", ["parent_version_id"])


def _made() -> tuple[sa.Column[str], sa.Column[int]]:
    return (
        sa.Column("created_by", _id, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )


def _refers(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=op.f(f"fk_{table}_{column}_{target}"))
