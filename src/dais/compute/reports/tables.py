"""What runs have reported."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Integer, String, Table, Text

from dais.kit.database import Document, Id, Instant, metadata

job_reports = Table(
    "job_reports",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("run_index", Integer, primary_key=True),
    # How much of the run's file has been taken: what is taken and how far are one transaction.
    Column("file_bytes", BigInteger, nullable=False),
    Column("points", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("problem", Text, nullable=False),
    Column("progress", Double),
    Column("message", Text, nullable=False),
    # The newest value of each metric: {name: value}; and key-values and tags that it set.
    Column("latest", Document, nullable=False),
    Column("values", Document, nullable=False),
    Column("tags", Document, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

job_metrics = Table(
    "job_metrics",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("run_index", Integer, primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("value", Double, nullable=False),
    Column("at", Instant, nullable=False),
    sqlite_with_rowid=False,
)
