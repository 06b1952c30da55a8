"""What users want to be told, and the messages that are under way."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text, text

from dais.kit.database import Document, Id, Instant, metadata, partial_index

notify_settings = Table(
    "notify_settings",
    metadata,
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    # Told of every job of this user that names nobody: ["https://…", "mail:…"].
    Column("targets", Document, nullable=False),
    # The key that webhooks are signed with, sealed by the installation's (`kit.vault`).
    Column("signing", Text),
    Column("set_at", Instant, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", Id, nullable=False),
    Column("target", Text, nullable=False),
    # How the job ended, as it is told: a job that is retried has another end.
    Column("facts", Document, nullable=False),
    Column("tries", Integer, nullable=False),
    # When it is tried (again); NULL once it was delivered or given up.
    Column("next_at", Instant),
    # The lease under which it is being sent: only that one may write how it went.
    Column("claim", Id),
    Column("error", Text),
    Column("created_at", Instant, nullable=False),
    Column("delivered_at", Instant),
    Column("given_up_at", Instant),
    Index("ix_deliveries_job_id", "job_id"),
    partial_index("ix_deliveries_next_at", "next_at", where=text("next_at IS NOT NULL")),
)
