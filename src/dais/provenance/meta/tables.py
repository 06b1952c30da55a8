"""Rows of metadata: one for each value and each tag of an entity.

An entity is meant by its id alone, which no other has and none gets again: rows of one that is gone are found by
nobody, and are swept. Values of one key are walked in their order by one index: by type, then number, then text.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, SmallInteger, String, Table

from dais.kit.database import Id, metadata

# Compared by their bytes on both databases.
Word = String(128).with_variant(String(128, collation="C"), "postgresql")
Words = String(1024).with_variant(String(1024, collation="C"), "postgresql")

meta_values = Table(
    "meta_values",
    metadata,
    Column("entity_id", Id, primary_key=True),
    Column("key", Word, primary_key=True),
    Column("account_id", Id, nullable=False),
    Column("kind", String(32), nullable=False),
    # One of `values.RANKS`; what is no text has "" as its text, and a text 0 as its number.
    Column("type", SmallInteger, nullable=False),
    Column("number", Float(53), nullable=False),
    Column("text", Words, nullable=False),
    Index("ix_meta_values_in_order", "account_id", "kind", "key", "type", "number", "text", "entity_id"),
    sqlite_with_rowid=False,
)

meta_tags = Table(
    "meta_tags",
    metadata,
    Column("entity_id", Id, primary_key=True),
    Column("tag", Word, primary_key=True),
    Column("account_id", Id, nullable=False),
    Column("kind", String(32), nullable=False),
    Index("ix_meta_tags_in_order", "account_id", "kind", "tag", "entity_id"),
    sqlite_with_rowid=False,
)
