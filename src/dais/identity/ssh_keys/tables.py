"""Public keys of users for SSH."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text

from dais.kit.database import Id, Instant, metadata

# `public` is one line as in authorized_keys, without a comment. A key belongs to one user: it alone says who comes.
ssh_keys = Table(
    "ssh_keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("fingerprint", String(64), nullable=False, unique=True),
    Column("kind", String(64), nullable=False),
    Column("public", Text, nullable=False),
    Column("label", String(128)),
    Column("created_at", Instant, nullable=False),
    Column("last_used_at", Instant),
    Index("ix_ssh_keys_user_id", "user_id"),
)
