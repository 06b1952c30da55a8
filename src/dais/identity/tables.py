"""Organizations, accounts, users, teams, roles, policies, tokens, the sessions of browsers, and the audit log."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from dais.kit.database import Document, Flag, Id, Instant, metadata

organizations = Table(
    "organizations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("mfa_required", Flag, nullable=False, server_default="0"),
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
    Column("email", String(254)),
    Column("full_name", String(200)),
    UniqueConstraint("organization_id", "name"),
    Index("ix_users_email", "email", unique=True),
    sqlite_autoincrement=True,
)

teams = Table(
    "teams",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", Id, ForeignKey("organizations.id"), nullable=False),
    Column("name", String(63), nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("organization_id", "name"),
)

team_users = Table(
    "team_users",
    metadata,
    Column("team_id", Id, ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("created_at", Instant, nullable=False),
    Index("ix_team_users_user_id", "user_id"),
)

team_teams = Table(
    "team_teams",
    metadata,
    Column("team_id", Id, ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True),
    Column("member_id", Id, ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True),
    Column("created_at", Instant, nullable=False),
    Index("ix_team_teams_member_id", "member_id"),
)

# Every team with each team that it is in, directly or not, and itself: made anew when a team joins or leaves another.
team_ancestors = Table(
    "team_ancestors",
    metadata,
    Column("team_id", Id, ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True),
    Column("ancestor_id", Id, ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True),
    Index("ix_team_ancestors_ancestor_id", "ancestor_id"),
)

# `parent_id` is what the role is attached to: the account, the team, else the organization.
roles = Table(
    "roles",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", Id, ForeignKey("organizations.id"), nullable=False),
    Column("parent_type", String(16), nullable=False),
    Column("parent_id", Id, nullable=False),
    Column("name", String(63), nullable=False),
    Column("predefined", Flag, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("parent_id", "name"),
    Index("ix_roles_organization_id", "organization_id"),
)

role_users = Table(
    "role_users",
    metadata,
    Column("role_id", Id, ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("created_at", Instant, nullable=False),
    Index("ix_role_users_user_id", "user_id"),
)

role_teams = Table(
    "role_teams",
    metadata,
    Column("role_id", Id, ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
    Column("team_id", Id, ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True),
    Column("created_at", Instant, nullable=False),
    Index("ix_role_teams_team_id", "team_id"),
)

# A policy is attached to one subject. `statements` are its lines; `everywhere`: they reach beyond the organization.
policies = Table(
    "policies",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", Id, ForeignKey("organizations.id"), nullable=False),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE")),
    Column("team_id", Id, ForeignKey("teams.id", ondelete="CASCADE")),
    Column("role_id", Id, ForeignKey("roles.id", ondelete="CASCADE")),
    Column("statements", Text, nullable=False),
    Column("everywhere", Flag, nullable=False),
    Column("created_by", Id),
    Column("created_at", Instant, nullable=False),
    CheckConstraint(
        "(CASE WHEN user_id IS NULL THEN 0 ELSE 1 END) + (CASE WHEN team_id IS NULL THEN 0 ELSE 1 END) "
        "+ (CASE WHEN role_id IS NULL THEN 0 ELSE 1 END) = 1",
        name="one_subject",
    ),
    Index("ix_policies_user_id", "user_id"),
    Index("ix_policies_team_id", "team_id"),
    Index("ix_policies_role_id", "role_id"),
)

# Who did what, or tried. Names are written down as they were: what is named may be gone when it is read.
audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("organization_id", Id, nullable=False),
    Column("user_id", Id),
    Column("user_name", String(255), nullable=False),
    Column("token_id", Id),
    Column("role_id", Id),
    Column("action", String(64), nullable=False),
    Column("urn", String(1024), nullable=False),
    Column("allowed", Flag, nullable=False),
    Column("address", String(64), nullable=False),
    Column("detail", Document),
    Index("ix_audit_organization_id_id", "organization_id", "id"),
    Index("ix_audit_user_id_id", "user_id", "id"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    # Of a pair that signs requests `hash` is that of its access key; the secret is sealed: it must be read again.
    Column("access_key", String(20)),
    Column("sealed", Text),
    # A role's key acts as the role alone; `user_id` made it, and owns what it makes.
    Column("role_id", Id, ForeignKey("roles.id", ondelete="CASCADE")),
    # Statements (lines) that bound what it may do beside the owner's rules; NULL: all that those allow.
    Column("narrowed", Text),
    # SHA-256 of the whole text, in hex. 256 random bits need neither salt nor a slow hash.
    Column("hash", String(64), nullable=False, unique=True),
    Column("label", String(128)),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("revoked_reason", String(32)),
    Column("last_used_at", Instant),
    Index("ix_tokens_user_id", "user_id"),
    Index("ix_tokens_role_id", "role_id"),
    Index("ix_tokens_access_key", "access_key", unique=True),
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
    # `sign-in`, or `password`: whoever opens it chooses a new one.
    Column("purpose", String(16), nullable=False, server_default="sign-in"),
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
    # How it began: the first factor, whether there was a second one, from where, with which browser.
    Column("first_factor", String(16), nullable=False, server_default="link"),
    Column("strong", Flag, nullable=False, server_default="0"),
    Column("address", String(64), nullable=False, server_default=""),
    Column("browser", String(200), nullable=False, server_default=""),
    Index("ix_sessions_user_id", "user_id"),
)


# What browsers must bring back, by the hash of their secret. `subject` is what it is for: a provider, a user.
browser_challenges = Table(
    "browser_challenges",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("back", String(1024), nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("ix_browser_challenges_expires_at", "expires_at"),
)
