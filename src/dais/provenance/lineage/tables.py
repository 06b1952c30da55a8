"""What runs of jobs made, and what of. A graph: derivations between versions of file sets, by code that is a file.

Names stand here beside ids, for a version that was removed is still a part of the graph.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from dais.kit.database import Document, Id, Instant, metadata

derivations = Table(
    "derivations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", Id, nullable=False),
    Column("run_index", Integer, nullable=False),
    Column("account_id", Id, nullable=False),
    # What it ran: command, source, code, image, environment, resources.
    Column("facts", Document, nullable=False),
    Column("made_at", Instant, nullable=False),
    UniqueConstraint("job_id", "run_index"),
)

derivation_inputs = Table(
    "derivation_inputs",
    metadata,
    Column("derivation_id", Id, ForeignKey("derivations.id"), primary_key=True),
    Column("set_version_id", Id, primary_key=True),
    Column("account_id", Id, nullable=False),
    Column("name", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Index("ix_derivation_inputs_set_version_id", "set_version_id"),
)

derivation_outputs = Table(
    "derivation_outputs",
    metadata,
    Column("derivation_id", Id, ForeignKey("derivations.id"), primary_key=True),
    Column("set_version_id", Id, primary_key=True),
    Column("account_id", Id, nullable=False),
    Column("name", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Index("ix_derivation_outputs_set_version_id", "set_version_id"),
)

# The file with the code that a run had.
derivation_codes = Table(
    "derivation_codes",
    metadata,
    Column("derivation_id", Id, ForeignKey("derivations.id"), primary_key=True),
    Column("file_version_id", Id, primary_key=True),
    Column("account_id", Id, nullable=False),
    Column("path", String(1024), nullable=False),
    Column("version", Integer, nullable=False),
    Index("ix_derivation_codes_file_version_id", "file_version_id"),
)
