"""teams, roles, policies and the audit log; who works in an account is a member of a role of it"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dais.kit.ids import new_id

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ID = sa.String(length=36)


def upgrade() -> None:
    op.add_column("organizations", sa.Column("mfa_required", sa.SmallInteger(), nullable=False, server_default="0"))
    op.add_column("users", sa.Column("email", sa.String(length=254), nullable=True))
    op.add_column("users", sa.Column("full_name", sa.String(length=200), nullable=True))
    op.create_index("ix_users_email", "users", ["email"], unique=True)
    _teams()
    _roles()
    _policies()
    with op.batch_alter_table("tokens") as tokens:
        tokens.add_column(sa.Column("role_id", ID, nullable=True))
        tokens.add_column(sa.Column("narrowed", sa.Text(), nullable=True))
        tokens.create_foreign_key("fk_tokens_role_id_roles", "roles", ["role_id"], ["id"], ondelete="CASCADE")
        tokens.create_index("ix_tokens_role_id", ["role_id"])
    op.create_table(
        "audit",
        sa.Column("id", ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=True),
        sa.Column("user_name", sa.String(length=255), nullable=False),
        sa.Column("token_id", ID, nullable=True),
        sa.Column("role_id", ID, nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("urn", sa.String(length=1024), nullable=False),
        sa.Column("allowed", sa.SmallInteger(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_organization_id_id", "audit", ["organization_id", "id"])
    op.create_index("ix_audit_user_id_id", "audit", ["user_id", "id"])
    _predefine()
    op.drop_table("account_members")


def _reference(table: str, column: str, to: str, *, cascade: bool = True) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{to}")
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=name, ondelete="CASCADE" if cascade else None)


def _pairs(table: str, first: tuple[str, str], second: tuple[str, str], *, dated: bool = True) -> None:
    """A table of pairs of ids; `(column, table it refers to)` each."""
    op.create_table(
        table,
        sa.Column(first[0], ID, nullable=False),
        sa.Column(second[0], ID, nullable=False),
        *([sa.Column("created_at", sa.BigInteger(), nullable=False)] if dated else []),
        _reference(table, *first),
        _reference(table, *second),
        sa.PrimaryKeyConstraint(first[0], second[0], name=op.f(f"pk_{table}")),
    )
    op.create_index(f"ix_{table}_{second[0]}", table, [second[0]])


def _teams() -> None:
    op.create_table(
        "teams",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        _reference("teams", "organization_id", "organizations", cascade=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_teams")),
        sa.UniqueConstraint("organization_id", "name", name=op.f("uq_teams_organization_id_name")),
    )
    _pairs("team_users", ("team_id", "teams"), ("user_id", "users"))
    _pairs("team_teams", ("team_id", "teams"), ("member_id", "teams"))
    _pairs("team_ancestors", ("team_id", "teams"), ("ancestor_id", "teams"), dated=False)


def _roles() -> None:
    op.create_table(
        "roles",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("parent_type", sa.String(length=16), nullable=False),
        sa.Column("parent_id", ID, nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("predefined", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        _reference("roles", "organization_id", "organizations", cascade=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roles")),
        sa.UniqueConstraint("parent_id", "name", name=op.f("uq_roles_parent_id_name")),
    )
    op.create_index("ix_roles_organization_id", "roles", ["organization_id"])
    _pairs("role_users", ("role_id", "roles"), ("user_id", "users"))
    _pairs("role_teams", ("role_id", "roles"), ("team_id", "teams"))


def _policies() -> None:
    subjects = ("user", "team", "role")
    op.create_table(
        "policies",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        *(sa.Column(f"{one}_id", ID, nullable=True) for one in subjects),
        sa.Column("statements", sa.Text(), nullable=False),
        sa.Column("everywhere", sa.SmallInteger(), nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            " + ".join(f"(CASE WHEN {one}_id IS NULL THEN 0 ELSE 1 END)" for one in subjects) + " = 1",
            name=op.f("ck_policies_one_subject"),
        ),
        _reference("policies", "organization_id", "organizations", cascade=False),
        *(_reference("policies", f"{one}_id", f"{one}s") for one in subjects),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policies")),
    )
    for one in subjects:
        op.create_index(f"ix_policies_{one}_id", "policies", [f"{one}_id"])


def _predefine() -> None:
    """Give everybody the predefined roles and policies, as if they had been made today."""
    connection = op.get_bind()
    now = connection.scalar(sa.text("SELECT max(created_at) FROM organizations")) or 0
    for organization in connection.execute(sa.text("SELECT id FROM organizations")).scalars().all():
        urn = organization
        machines = "group:get+node:get+image:get@installation:*"
        admin = _role(now, organization, "organization", urn, "admin", [f"*@{urn}+{urn}:*", machines])
        seen = [
            f"organization:get+role:get@{urn}+{urn}:role:*",
            f"user:get@{urn}:user:*",
            f"team:get+role:get@{urn}:team:*",
            machines,
        ]
        everybody = _role(now, organization, "organization", urn, "user", seen)
        for user in _users(organization):
            _member(now, everybody, user.id)
            if user.administrator_at is not None:
                _member(now, admin, user.id)
            own = f"{organization}:user:{user.id}"
            lines = [f"user:get+user:set@{own}", f"token:*+session:*+policy:get@{own}:*"]
            _policy(now, organization, "user_id", user.id, lines)
    work = "job:*+data:*+file:*+fileset:*+image:*+environment:*+secret:*+experiment:*+service:*"
    for account in connection.execute(sa.text("SELECT id, organization_id FROM accounts")).all():
        urn = f"{account.organization_id}:account:{account.id}"
        admin = _role(now, account.organization_id, "account", account.id, "admin", [f"*@{urn}+{urn}:*"])
        _role(now, account.organization_id, "account", account.id, "user", [f"*:get+{work}@{urn}+{urn}:*"])
        members = sa.text("SELECT user_id FROM account_members WHERE account_id = :id")
        for user_id in connection.execute(members, {"id": account.id}).scalars().all():
            _member(now, admin, user_id)


def _users(organization: str) -> list[sa.Row[tuple[str, int | None]]]:
    found = sa.text("SELECT id, administrator_at FROM users WHERE organization_id = :id")
    return list(op.get_bind().execute(found, {"id": organization}).all())


def _role(now: int, organization: str, kind: str, parent: str, name: str, statements: list[str]) -> str:
    role_id = new_id()
    op.get_bind().execute(
        sa.text("INSERT INTO roles VALUES (:id, :organization, :kind, :parent, :name, 1, :now)"),
        {"id": role_id, "organization": organization, "kind": kind, "parent": parent, "name": name, "now": now},
    )
    _policy(now, organization, "role_id", role_id, statements)
    return role_id


def _member(now: int, role_id: str, user_id: str) -> None:
    values = {"role": role_id, "user": user_id, "now": now}
    op.get_bind().execute(sa.text("INSERT INTO role_users VALUES (:role, :user, :now)"), values)


def _policy(now: int, organization: str, column: str, subject: str, statements: list[str]) -> None:
    op.get_bind().execute(
        sa.text(
            f"INSERT INTO policies (id, organization_id, {column}, statements, everywhere, created_at) "  # noqa: S608
            "VALUES (:id, :organization, :subject, :statements, 0, :now)"
        ),
        {
            "id": new_id(),
            "organization": organization,
            "subject": subject,
            "statements": "\n".join(statements),
            "now": now,
        },
    )
