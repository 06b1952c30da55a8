"""Passwords, second factors, sign-ins that are not finished, failures, invitations."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from dais.kit.database import Document, Flag, Id, Instant, metadata


def _user(*, primary_key: bool = False) -> Column[str]:
    return Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=primary_key, nullable=False)


# `hash` is argon2's encoded text, which names its parameters. `must_change`: somebody else chose it.
passwords = Table(
    "passwords",
    metadata,
    _user(primary_key=True),
    Column("hash", String(255), nullable=False),
    Column("must_change", Flag, nullable=False),
    Column("set_at", Instant, nullable=False),
)

# Devices that show one-time codes. The secret is sealed by the vault; `last_step` is the last code's place in time,
# so that a code is good once. Without `confirmed_at` it is still being set up.
authenticators = Table(
    "authenticators",
    metadata,
    Column("id", Id, primary_key=True),
    _user(),
    Column("name", String(64), nullable=False),
    Column("sealed", Text, nullable=False),
    Column("last_step", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("confirmed_at", Instant),
    Column("last_used_at", Instant),
    Index("ix_authenticators_user_id", "user_id"),
)

# SHA-256 of 80 random bits.
recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("hash", String(64), primary_key=True),
    _user(),
    Column("created_at", Instant, nullable=False),
    Column("used_at", Instant),
    Index("ix_recovery_codes_user_id", "user_id"),
)

# Between the first factor and the session: it opens nothing. `hash` as of sessions.
pending_sign_ins = Table(
    "pending_sign_ins",
    metadata,
    Column("id", Id, primary_key=True),
    _user(),
    Column("hash", String(64), nullable=False, unique=True),
    Column("first_factor", String(16), nullable=False),
    Column("strong", Flag, nullable=False),
    Column("new_password", Flag, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("ix_pending_sign_ins_user_id", "user_id"),
    Index("ix_pending_sign_ins_expires_at", "expires_at"),
)

# How often somebody failed to sign in as this user, or under a name that nobody has: both are counted alike.
# `subject` is a hash; µs until which nothing is tried.
sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("subject", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("locked_until", Instant, nullable=False),
    Index("ix_sign_in_failures_last_at", "last_at"),
)

# `grants` are pairs of the full name of an account and a role of it, as the inviter chose them.
invitations = Table(
    "invitations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", Id, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("email", String(254), nullable=False),
    Column("invited_by", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("grants", Document, nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("accepted_at", Instant),
    Column("accepted_by", Id, ForeignKey("users.id", ondelete="SET NULL")),
    Column("mail", String(300)),
    Index("ix_invitations_organization_id", "organization_id"),
)
