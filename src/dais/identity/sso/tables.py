"""Identity providers, and whom their users are here."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text, UniqueConstraint

from dais.kit.database import Document, Flag, Id, Instant, metadata

# `sealed` is the client's secret, by the vault. `domains` are e-mail domains, `roles` triples of a claim, a value of it
# and the id of the role that it gives. `internal`: the issuer's host may have an internal address.
identity_providers = Table(
    "identity_providers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("label", String(100), nullable=False),
    Column("issuer", String(512), nullable=False, unique=True),
    Column("client_id", String(255), nullable=False),
    Column("sealed", Text),
    Column("scopes", String(255), nullable=False),
    Column("organization_id", Id, ForeignKey("organizations.id"), nullable=False),
    Column("creates_users", Flag, nullable=False),
    Column("links_by_email", Flag, nullable=False),
    Column("strong", Flag, nullable=False),
    Column("internal", Flag, nullable=False),
    Column("domains", Document, nullable=False),
    Column("roles", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
)

linked_identities = Table(
    "linked_identities",
    metadata,
    Column("id", Id, primary_key=True),
    Column("issuer", String(512), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("email", String(254)),
    Column("created_at", Instant, nullable=False),
    Column("last_used_at", Instant, nullable=False),
    UniqueConstraint("issuer", "subject"),
    Index("ix_linked_identities_user_id", "user_id"),
)
