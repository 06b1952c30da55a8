"""Versioned files and file sets. Contents are blobs; these tables say what they are called.

Paths sort by their bytes on both databases, so that what lies below a directory is one range of an index.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from dais.kit.database import Flag, Id, Instant, metadata

Path = String(1024).with_variant(String(1024, collation="C"), "postgresql")
Digest = String(71)

files = Table(
    "files",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
    Column("path", Path, nullable=False),
    Column("parent", Path, nullable=False),
    # The path as it stands in a URN, where that is another text.
    Column("escaped", String),
    # The newest version that is there, and the last number that was given: numbers of removed versions do not return.
    Column("latest", Integer, nullable=False),
    Column("given", Integer, nullable=False),
    Column("created_by", Id, ForeignKey("users.id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("account_id", "path"),
    Index("ix_files_account_id_parent", "account_id", "parent", "path"),
)

file_directories = Table(
    "file_directories",
    metadata,
    Column("account_id", Id, ForeignKey("accounts.id"), primary_key=True),
    Column("path", Path, primary_key=True),
    Column("parent", Path, nullable=False),
    Index("ix_file_directories_account_id_parent", "account_id", "parent", "path"),
)

file_versions = Table(
    "file_versions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("file_id", Id, ForeignKey("files.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", Digest, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("executable", Flag, nullable=False),
    Column("created_by", Id, ForeignKey("users.id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("file_id", "version"),
)

file_sets = Table(
    "file_sets",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
    Column("name", String(128), nullable=False),
    Column("latest", Integer, nullable=False),
    Column("given", Integer, nullable=False),
    Column("created_by", Id, ForeignKey("users.id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("account_id", "name"),
)

file_set_versions = Table(
    "file_set_versions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("set_id", Id, ForeignKey("file_sets.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("files", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", Digest, nullable=False),
    # Provenance: what made it, `upload` (by a user) or `job`, and its id.
    Column("made_by", String(16), nullable=False),
    Column("made_by_id", Id, nullable=False),
    Column("created_by", Id, ForeignKey("users.id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("set_id", "version"),
)

file_set_entries = Table(
    "file_set_entries",
    metadata,
    Column("set_version_id", Id, ForeignKey("file_set_versions.id"), primary_key=True),
    Column("path", Path, primary_key=True),
    Column("file_version_id", Id, ForeignKey("file_versions.id"), nullable=False),
    Index("ix_file_set_entries_file_version_id", "file_version_id"),
)

file_set_parents = Table(
    "file_set_parents",
    metadata,
    Column("set_version_id", Id, ForeignKey("file_set_versions.id"), primary_key=True),
    Column("parent_version_id", Id, ForeignKey("file_set_versions.id"), primary_key=True),
    Index("ix_file_set_parents_parent_version_id", "parent_version_id"),
)

upload_sessions = Table(
    "upload_sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    # open, done or aborted; those of yesterday are forgotten.
    Column("state", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("ix_upload_sessions_created_at", "created_at"),
)

upload_session_files = Table(
    "upload_session_files",
    metadata,
    Column("session_id", Id, ForeignKey("upload_sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("path", Path, nullable=False),
    # What has come; then the version that it got.
    Column("digest", Digest),
    Column("size", BigInteger),
    Column("version", Integer),
)
