"""Passkeys of users."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, String, Table, Text

from dais.kit.database import Document, Flag, Id, Instant, metadata

# `credential_id` and `public_key` are base64url. `counter` is the last that the key told; `copied_at`: it went
# backwards, so there are two of this key, and neither is believed.
passkeys = Table(
    "passkeys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("credential_id", String(1400), nullable=False, unique=True),
    Column("public_key", Text, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("transports", Document, nullable=False),
    Column("synced", Flag, nullable=False),
    Column("name", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_used_at", Instant),
    Column("copied_at", Instant),
    Index("ix_passkeys_user_id", "user_id"),
)
