"""Sign-ins of machines that wait for somebody's word."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from dais.kit.database import Flag, Id, Instant, metadata

# Both codes are kept as their hashes. `user_id` is who decided; a row is removed when its token is handed out.
device_logins = Table(
    "device_logins",
    metadata,
    Column("id", Id, primary_key=True),
    Column("device_hash", String(64), nullable=False, unique=True),
    Column("user_hash", String(64), nullable=False, unique=True),
    Column("machine", String(128), nullable=False),
    Column("client", String(64), nullable=False),
    Column("address", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("polled_at", Instant),
    Column("interval", Integer, nullable=False),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE")),
    Column("allowed", Flag, nullable=False, server_default="0"),
    Index("ix_device_logins_expires_at", "expires_at"),
)
