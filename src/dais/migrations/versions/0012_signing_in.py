"""passwords, second factors, unfinished sign-ins, failures, invitations; how a session began"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ID = sa.String(length=36)
INSTANT = sa.BigInteger()
FLAG = sa.SmallInteger()
HASH = sa.String(length=64)


def upgrade() -> None:
    op.add_column("sign_in_links", sa.Column("purpose", sa.String(length=16), nullable=False, server_default="sign-in"))
    for column in (
        sa.Column("first_factor", sa.String(length=16), nullable=False, server_default="link"),
        sa.Column("strong", FLAG, nullable=False, server_default="0"),
        sa.Column("address", sa.String(length=64), nullable=False, server_default=""),
        sa.Column("browser", sa.String(length=200), nullable=False, server_default=""),
    ):
        op.add_column("sessions", column)
    op.create_table(
        "passwords",
        sa.Column("user_id", ID, nullable=False),
        sa.Column("hash", sa.String(length=255), nullable=False),
        sa.Column("must_change", FLAG, nullable=False),
        sa.Column("set_at", INSTANT, nullable=False),
        _reference("passwords", "user_id", "users"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_passwords")),
    )
    _second_factors()
    _unfinished()
    _invitations()


def _reference(table: str, column: str, to: str, *, ondelete: str = "CASCADE") -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{to}")
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=name, ondelete=ondelete)


def _second_factors() -> None:
    op.create_table(
        "authenticators",
        sa.Column("id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("name", HASH, nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("confirmed_at", INSTANT, nullable=True),
        sa.Column("last_used_at", INSTANT, nullable=True),
        _reference("authenticators", "user_id", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_authenticators")),
    )
    op.create_index("ix_authenticators_user_id", "authenticators", ["user_id"])
    op.create_table(
        "recovery_codes",
        sa.Column("hash", HASH, nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("used_at", INSTANT, nullable=True),
        _reference("recovery_codes", "user_id", "users"),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_recovery_codes")),
    )
    op.create_index("ix_recovery_codes_user_id", "recovery_codes", ["user_id"])


def _unfinished() -> None:
    op.create_table(
        "pending_sign_ins",
        sa.Column("id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("hash", HASH, nullable=False),
        sa.Column("first_factor", sa.String(length=16), nullable=False),
        sa.Column("strong", FLAG, nullable=False),
        sa.Column("new_password", FLAG, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        _reference("pending_sign_ins", "user_id", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pending_sign_ins")),
        sa.UniqueConstraint("hash", name=op.f("uq_pending_sign_ins_hash")),
    )
    op.create_index("ix_pending_sign_ins_user_id", "pending_sign_ins", ["user_id"])
    op.create_index("ix_pending_sign_ins_expires_at", "pending_sign_ins", ["expires_at"])
    op.create_table(
        "sign_in_failures",
        sa.Column("subject", HASH, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", INSTANT, nullable=False),
        sa.Column("locked_until", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_sign_in_failures")),
    )
    op.create_index("ix_sign_in_failures_last_at", "sign_in_failures", ["last_at"])


def _invitations() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("invited_by", ID, nullable=False),
        sa.Column("grants", sa.Text(), nullable=False),
        sa.Column("hash", HASH, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("accepted_at", INSTANT, nullable=True),
        sa.Column("accepted_by", ID, nullable=True),
        sa.Column("mail", sa.String(length=300), nullable=True),
        _reference("invitations", "organization_id", "organizations"),
        _reference("invitations", "invited_by", "users"),
        _reference("invitations", "accepted_by", "users", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("hash", name=op.f("uq_invitations_hash")),
    )
    op.create_index("ix_invitations_organization_id", "invitations", ["organization_id"])
