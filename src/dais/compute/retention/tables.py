"""Limits of logs that are an account's own."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Table

from dais.kit.database import Id, metadata

log_limits = Table(
    "log_limits",
    metadata,
    Column("account_id", Id, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    # NULL: the installation's limit holds; 0: no limit.
    Column("days", Integer),
    Column("bytes", BigInteger),
)
