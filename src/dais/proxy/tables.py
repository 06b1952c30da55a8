"""Rows of the proxy: tickets of the hand-over, and which app has which port of its own."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, UniqueConstraint

from dais.kit.database import Id, Instant, metadata

# A browser's way from Dais's own origin to an app's: good once, for seconds.
app_tickets = Table(
    "app_tickets",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("job_id", Id, nullable=False),
    Column("session_id", Id, nullable=False),
    # The hash of what the browser that began must bring back.
    Column("state", String(64), nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("ix_app_tickets_expires_at", "expires_at"),
)

app_ports = Table(
    "app_ports",
    metadata,
    Column("port", Integer, primary_key=True, autoincrement=False),
    Column("job_id", Id, nullable=False),
    Column("target", String(63), nullable=False),
    Column("opened_at", Instant, nullable=False),
    UniqueConstraint("job_id", "target"),
)
