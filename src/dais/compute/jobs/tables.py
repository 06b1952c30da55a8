"""Rows of jobs, runs, their history, and idempotency keys."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)

from dais.kit.database import Document, Flag, Id, Instant, metadata, partial_index

SHORT_ID = 8

_stored = text("log_bytes > 0 AND shipped_at IS NOT NULL AND log_expired_at IS NULL")
_live = text("ended_at IS NULL")
_waiting = text("state = 'PENDING'")
_named = text("name IS NOT NULL")
_live_and_named = text("ended_at IS NULL AND name IS NOT NULL")

jobs = Table(
    "jobs",
    metadata,
    # The number is the primary key: jobs are stored in the order of their making, and every database hands it out.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", Id, nullable=False, unique=True),
    # The last digits of the id, for addresses of pages and for people; two jobs may have the same.
    Column("short_id", String(SHORT_ID), nullable=False, server_default=""),
    Column("name", String(63)),
    Column("account_id", Id, nullable=False),
    Column("owner_id", Id, nullable=False),
    Column("group_name", String(63), nullable=False),
    Column("type", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(32)),
    Column("detail", Text),
    Column("spec", Document, nullable=False),
    Column("warnings", Document, nullable=False),
    # The folders that the spec's names meant when it was submitted: [{folder_id, path, target, read_only}].
    Column("mounts", Document, nullable=False),
    # What of the data lake it reads and makes (`jobs.pins.Pins`); NULL: nothing.
    Column("pins", Document),
    Column("image", String(255), nullable=False),
    # In a group with an image store: the image in the catalogue, and the content that it meant (`images.types.Pin`).
    Column("image_id", Id),
    Column("image_pin", Document),
    Column("cpu_millis", BigInteger, nullable=False),
    Column("mem", BigInteger, nullable=False),
    Column("gpu", Integer, nullable=False),
    # The place in the queue: class, then higher bid, then earlier, then lower number.
    Column("class_rank", Integer, nullable=False),
    Column("bid", Integer, nullable=False),
    Column("queued_at", Instant, nullable=False),
    Column("pending_reason", Text),
    Column("restartable", Flag, nullable=False),
    Column("run_index", Integer, nullable=False),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("cancel_requested_at", Instant),
    Column("cancel_reason", String(32)),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Index("ix_jobs_short_id", "short_id"),
    Index("ix_jobs_account_id_number", "account_id", "number"),
    Index("ix_jobs_owner_id_number", "owner_id", "number"),
    Index("ix_jobs_state_number", "state", "number"),
    partial_index("ix_jobs_live_owner_id", "owner_id", where=_live),
    partial_index("uq_jobs_live_name", "account_id", "name", where=_live_and_named, unique=True),
    partial_index("ix_jobs_account_id_name", "account_id", "name", where=_named),
    sqlite_autoincrement=True,
)

job_tags = Table(
    "job_tags",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("value", String(1024), nullable=False),
    Index("ix_job_tags_key_value", "key", "value"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("idx", Integer, nullable=False),
    Column("group_name", String(63), nullable=False),
    Column("node", String(255), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(32)),
    Column("detail", Text),
    Column("cpu_millis", BigInteger, nullable=False),
    Column("mem", BigInteger, nullable=False),
    Column("gpu", Integer, nullable=False),
    # The UUIDs of the GPUs that it was given; NULL when it asked for none.
    Column("gpus", Document),
    # Set in the transaction before the launch is sent: from then on the engine may know the run.
    Column("launched_at", Instant),
    Column("prepared_at", Instant),
    Column("handle", Document),
    Column("environment_id", Id),
    Column("isolation", Document),
    Column("missing", Document),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("memory_peak", BigInteger),
    Column("cpu_micros", BigInteger),
    Column("log_bytes", BigInteger),
    Column("log_truncated", Flag),
    # The log in the blob store, segment by segment; NULL while the engine still holds it.
    Column("log_segments", Document),
    # When the stored log was removed, for it was old or others needed the room.
    Column("log_expired_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("shipped_at", Instant),
    # What moves now, `downloading` or `uploading`: bytes that are there, bytes of all, and when that was said.
    Column("phase", String(16)),
    Column("phase_done", BigInteger),
    Column("phase_total", BigInteger),
    Column("phase_at", Instant),
    # The manifest of what a run that did not succeed had written below its output.
    Column("partial", String(71)),
    UniqueConstraint("job_id", "idx"),
    Index("ix_runs_state_group_name", "state", "group_name"),
    partial_index("ix_runs_unshipped", "group_name", "ended_at", where=text("shipped_at IS NULL")),
    partial_index("ix_runs_stored_logs", "shipped_at", where=_stored),
)

# Which jobs use a version of a file set, or of a file as their code: it is not removed under them.
job_inputs = Table(
    "job_inputs",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("set_version_id", Id, ForeignKey("file_set_versions.id"), nullable=False),
    Column("target", Text),
    Index("ix_job_inputs_set_version_id", "set_version_id"),
)

job_codes = Table(
    "job_codes",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("file_version_id", Id, ForeignKey("file_versions.id"), nullable=False),
    Index("ix_job_codes_file_version_id", "file_version_id"),
)

# The file set that a run made. It may be removed; the row says that it was made.
job_outputs = Table(
    "job_outputs",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("run_index", Integer, primary_key=True),
    Column("set_version_id", Id, nullable=False),
    Column("name", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("files", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
)

gpu_holds = Table(
    "gpu_holds",
    metadata,
    Column("node", String(255), primary_key=True),
    Column("uuid", String(64), primary_key=True),
    Column("run_id", Id, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Index("ix_gpu_holds_run_id", "run_id"),
)

job_history = Table(
    "job_history",
    metadata,
    # Stored by job and time in one tree: it is the table that is written most.
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("id", Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("run_index", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(32)),
    Column("detail", Text),
    sqlite_with_rowid=False,
)

# Ports that their job's owner has opened to everybody.
job_exposures = Table(
    "job_exposures",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("port", Integer, primary_key=True),
    Column("user_id", Id, nullable=False),
    Column("created_at", Instant, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", Id, primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("body_hash", String(64), nullable=False),
    Column("job_id", Id, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("ix_idempotency_keys_created_at", "created_at"),
)

is_waiting = jobs.c.state == literal_column("'PENDING'")
"""The condition of the queue's index, with a constant: a bound value would keep the index from being used."""
partial_index(
    "ix_jobs_queue",
    jobs.c.group_name,
    jobs.c.class_rank,
    jobs.c.bid.desc(),
    jobs.c.queued_at,
    jobs.c.number,
    where=_waiting,
)
