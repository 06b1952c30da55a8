"""Organizations, accounts, users, tokens, and the sessions of browsers."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from dais.kit.database import Id, Instant, metadata

organizations = Table(
    "organizations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", Id, ForeignKey("organizations.id"), nullable=False),
    Column("parent_id", Id, ForeignKey("accounts.id")),
    Column("name", String(63), nullable=False),
    Column("full_name", String(1024), nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Index("ix_accounts_parent_id", "parent_id"),
)

# Every account with each of its ancestors and itself: a grant on an account covers its descendants by one join.
account_ancestors = Table(
    "account_ancestors",
    metadata,
    Column("account_id", Id, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("ancestor_id", Id, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Index("ix_account_ancestors_ancestor_id", "ancestor_id"),
)

users = Table(
    "users",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", Id, nullable=False, unique=True),
    Column("organization_id", Id, ForeignKey("organizations.id"), nullable=False),
    Column("name", String(63), nullable=False),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
    Column("administrator_at", Instant),
    Column("disabled_at", Instant),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("organization_id", "name"),
    sqlite_autoincrement=True,
)

account_members = Table(
    "account_members",
    metadata,
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("created_at", Instant, nullable=False),
    Index("ix_account_members_account_id", "account_id"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    # SHA-256 of the whole text, in hex. 256 random bits need neither salt nor a slow hash.
    Column("hash", String(64), nullable=False, unique=True),
    Column("label", String(128)),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("revoked_reason", String(32)),
    Column("last_used_at", Instant),
    Index("ix_tokens_user_id", "user_id"),
)

# The hashes of links and sessions are SHA-256, as of tokens.
sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Index("ix_sign_in_links_expires_at", "expires_at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("last_used_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("ix_sessions_user_id", "user_id"),
)
