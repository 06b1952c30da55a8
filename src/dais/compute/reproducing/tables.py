"""Which job runs again what another one was."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, Table

from dais.kit.database import Document, Id, Instant, metadata

reproductions = Table(
    "reproductions",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    # The job that is reproduced may be forgotten; then there is nothing to compare with.
    Column("of_job", Id, nullable=False),
    Column("of_run", Integer, nullable=False),
    Column("tolerance", Double, nullable=False),
    # What could not be held fast, as sentences.
    Column("notes", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("ix_reproductions_of_job", "of_job"),
)
