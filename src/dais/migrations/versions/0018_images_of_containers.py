"""a catalogue of container images, and registries"""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "container_images",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("group_name", sa.String(length=63), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=True),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("reference", sa.String(length=400), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=True),
        sa.Column("engine_id", sa.String(length=80), nullable=True),
        sa.Column("system", sa.String(length=63), nullable=True),
        sa.Column("architecture", sa.String(length=63), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("search_path", sa.Text(), nullable=True),
        sa.Column("python", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("problem_code", sa.String(length=32), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("progress", sa.Text(), nullable=True),
        sa.Column("progress_done", sa.BigInteger(), nullable=True),
        sa.Column("progress_total", sa.BigInteger(), nullable=True),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("created_by", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_container_images_account_id_accounts")),
        sa.ForeignKeyConstraint(
            ["group_name"], ["resource_groups.name"], name=op.f("fk_container_images_group_name_resource_groups")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_container_images")),
    )
    op.create_index("ix_container_images_group_name_reference", "container_images", ["group_name", "reference"])
    for name, columns, where in (
        ("uq_container_images_account_name", ["group_name", "account_id", "name"], "account_id IS NOT NULL"),
        ("uq_container_images_name", ["group_name", "name"], "account_id IS NULL"),
    ):
        only = sa.text(where)
        op.create_index(name, "container_images", columns, unique=True, sqlite_where=only, postgresql_where=only)
    op.create_table(
        "image_aliases",
        sa.Column("image_id", sa.String(length=36), nullable=False),
        sa.Column("alias", sa.String(length=63), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["container_images.id"],
            name=op.f("fk_image_aliases_image_id_container_images"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("image_id", "alias", name=op.f("pk_image_aliases")),
    )
    op.create_index("ix_image_aliases_alias", "image_aliases", ["alias"])
    op.create_table(
        "image_logs",
        sa.Column("image_id", sa.String(length=36), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["container_images.id"],
            name=op.f("fk_image_logs_image_id_container_images"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_image_logs")),
    )
    registries = op.create_table(
        "registries",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("insecure", sa.SmallInteger(), nullable=False),
        sa.Column("username", sa.String(length=255), nullable=True),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("organization_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_registries_organization_id_organizations")
        ),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_registries")),
    )
    # A new installation gets it at its first start: an empty database stays empty.
    if op.get_bind().execute(sa.text("SELECT 1 FROM resource_groups LIMIT 1")).first() is not None:
        op.bulk_insert(
            registries,
            [{"host": "docker.io", "kind": "docker-v2", "insecure": 0, "created_at": time.time_ns() // 1000}],
        )
    op.create_table(
        "allowed_registries",
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_allowed_registries_organization_id_organizations"),
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("organization_id", "host", name=op.f("uq_allowed_registries_organization_id_host")),
    )
    op.add_column("jobs", sa.Column("image_id", sa.String(length=36), nullable=True))
    op.add_column("jobs", sa.Column("image_pin", sa.Text(), nullable=True))
