"""Folders. What they hold is on the disk, below the folder's id."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table, and_

from dais.kit.database import Id, Instant, metadata, partial_index

folders = Table(
    "folders",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("created_by", Id, ForeignKey("users.id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    # A folder that is filled while it is made is seen by its maker alone, under its id, until it is published.
    Column("published_at", Instant),
    Column("staging", String(255)),
    # Removing sets this first: it is the intent, which a start after a crash finishes on the disk.
    Column("deleted_at", Instant),
    Index("ix_folders_staging", "account_id", "staging"),
)

_live = and_(folders.c.deleted_at.is_(None), folders.c.published_at.is_not(None))
partial_index("uq_folders_account_id_name", folders.c.account_id, folders.c.name, where=_live, unique=True)
