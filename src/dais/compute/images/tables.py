"""Images: registered root directories, and what engines with a store of their own start from; registries."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, String, Table, Text, UniqueConstraint, text

from dais.kit.database import Document, Flag, Id, Instant, metadata, partial_index

images = Table(
    "images",
    metadata,
    Column("group_name", String(63), ForeignKey("resource_groups.name"), primary_key=True),
    Column("name", String(63), primary_key=True),
    # A root directory of the group's machines.
    Column("path", Text, nullable=False),
    Column("system", String(255)),
    Column("python", Text),
    # Counted when it is first asked for.
    Column("size", BigInteger),
    Column("created_by", Id, nullable=False),
    Column("created_at", Instant, nullable=False),
)

container_images = Table(
    "container_images",
    metadata,
    Column("id", Id, primary_key=True),
    Column("group_name", String(63), ForeignKey("resource_groups.name"), nullable=False),
    # Whose it is; NULL: the installation's.
    Column("account_id", Id, ForeignKey("accounts.id")),
    Column("name", String(63), nullable=False),
    # Whole: registry/repository:tag, or @digest.
    Column("reference", String(400), nullable=False),
    # Of the manifest in its registry, and the id in the engine's store, as they were last seen.
    Column("digest", String(80)),
    Column("engine_id", String(80)),
    Column("system", String(63)),
    Column("architecture", String(63)),
    Column("size", BigInteger),
    Column("labels", Document, nullable=False),
    # The image's PATH, and its Python by a label ("" where it was seen to have none).
    Column("search_path", Text),
    Column("python", Text),
    # missing, pulling, building, there, failed
    Column("state", String(16), nullable=False),
    Column("problem_code", String(32)),
    Column("problem", Text),
    # What a pull or a build says now, and bytes of bytes.
    Column("progress", Text),
    Column("progress_done", BigInteger),
    Column("progress_total", BigInteger),
    # registered, job, rescan, build, commit, import
    Column("origin", String(16), nullable=False),
    Column("created_by", Id, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant),
    Index("ix_container_images_group_name_reference", "group_name", "reference"),
    partial_index(
        "uq_container_images_account_name",
        "group_name",
        "account_id",
        "name",
        where=text("account_id IS NOT NULL"),
        unique=True,
    ),
    partial_index("uq_container_images_name", "group_name", "name", where=text("account_id IS NULL"), unique=True),
)

image_aliases = Table(
    "image_aliases",
    metadata,
    Column("image_id", Id, ForeignKey("container_images.id", ondelete="CASCADE"), primary_key=True),
    Column("alias", String(63), primary_key=True),
    Index("ix_image_aliases_alias", "alias"),
)

image_logs = Table(
    "image_logs",
    metadata,
    # What a build printed, its newest megabyte.
    Column("image_id", Id, ForeignKey("container_images.id", ondelete="CASCADE"), primary_key=True),
    Column("text", Text, nullable=False),
    # How many characters came before `text` and were dropped.
    Column("dropped", BigInteger, nullable=False),
)

registries = Table(
    "registries",
    metadata,
    Column("host", String(255), primary_key=True),
    # docker-v2 or harbor
    Column("kind", String(16), nullable=False),
    # Spoken to by plain HTTP.
    Column("insecure", Flag, nullable=False),
    Column("username", String(255)),
    # Sealed by the vault.
    Column("password", Text),
    # For whom it is; NULL: for every organization.
    Column("organization_id", Id, ForeignKey("organizations.id")),
    Column("created_at", Instant, nullable=False),
)

allowed_registries = Table(
    "allowed_registries",
    metadata,
    Column("organization_id", Id, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("host", String(255), nullable=False),
    UniqueConstraint("organization_id", "host"),
)
