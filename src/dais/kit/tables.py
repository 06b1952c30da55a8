"""Tables of the kit beside the outbox (`database.work.events`)."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from dais.kit.database import Instant, metadata

leases = Table(
    "leases",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("token", String(36), nullable=False),
    Column("holder", String(255), nullable=False),
    Column("expires_at", Instant, nullable=False),
)
