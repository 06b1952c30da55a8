"""tags and key-values on any entity"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def _bytes(length: int) -> sa.types.TypeEngine[str]:
    """Text that is compared by its bytes on both databases."""
    return sa.String(length=length).with_variant(sa.String(length=length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "meta_values",
        sa.Column("entity_id", sa.String(length=36), nullable=False),
        sa.Column("key", _bytes(128), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("number", sa.Float(precision=53), nullable=False),
        sa.Column("text", _bytes(1024), nullable=False),
        sa.PrimaryKeyConstraint("entity_id", "key", name=op.f("pk_meta_values")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_meta_values_in_order",
        "meta_values",
        ["account_id", "kind", "key", "type", "number", "text", "entity_id"],
    )
    op.create_table(
        "meta_tags",
        sa.Column("entity_id", sa.String(length=36), nullable=False),
        sa.Column("tag", _bytes(128), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("entity_id", "tag", name=op.f("pk_meta_tags")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_meta_tags_in_order", "meta_tags", ["account_id", "kind", "tag", "entity_id"])
