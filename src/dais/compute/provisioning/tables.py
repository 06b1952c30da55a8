"""Templates of jobs, their profiling runs, and the jobs that were submitted with a chosen allocation."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from dais.kit.database import Document, Id, Instant, metadata, partial_index

templates = Table(
    "templates",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", Id, nullable=False, unique=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
    Column("owner_id", Id, ForeignKey("users.id"), nullable=False),
    # Who registered it, with the role and the bounds of their token: profiling runs are submitted as them.
    Column("actor", Document, nullable=False),
    Column("name", String(63), nullable=False),
    Column("group_name", String(63), nullable=False),
    Column("spec", Document, nullable=False),
    Column("hints", Document, nullable=False),
    Column("cpus", Document, nullable=False),
    Column("mems", Document, nullable=False),
    Column("parallel", Integer, nullable=False),
    Column("max_run_time", Integer, nullable=False),
    Column("budget", Float(precision=53)),
    Column("state", String(16), nullable=False),
    Column("detail", Text),
    Column("fit", Document),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    UniqueConstraint("account_id", "name"),
    partial_index("ix_templates_unended", "number", where=text("ended_at IS NULL")),
    sqlite_autoincrement=True,
)

template_runs = Table(
    "template_runs",
    metadata,
    Column("template_id", Id, ForeignKey("templates.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    # The value of each hint, as text.
    Column("parameters", Document, nullable=False),
    Column("cpu_millis", BigInteger, nullable=False),
    Column("mem", BigInteger, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("reason", Text),
    # The job may be removed; what came of it stays.
    Column("job_id", Id),
    Column("micros", BigInteger),
    Column("cpu_micros", BigInteger),
    Column("memory_peak", BigInteger),
    Column("cost", Float(precision=53)),
)

template_jobs = Table(
    "template_jobs",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("template_id", Id, ForeignKey("templates.id", ondelete="CASCADE"), nullable=False),
    Column("parameters", Document, nullable=False),
    Column("seconds", Float(precision=53), nullable=False),
    Column("low", Float(precision=53), nullable=False),
    Column("high", Float(precision=53), nullable=False),
    Column("cost", Float(precision=53), nullable=False),
    Index("ix_template_jobs_template_id", "template_id"),
)
