"""An installation with two organizations: `acme` with users of several rights, and `other` with an administrator."""

from __future__ import annotations

from dataclasses import dataclass

from dais.identity import (
    Actor,
    User,
    add_role_member,
    authenticate,
    create_organization,
    create_token,
    create_user,
    resolve_role,
)
from dais.kit.database import Database
from tests.support.serving import Api


@dataclass(frozen=True)
class Somebody:
    """A user with a token."""

    user: User
    secret: str
    actor: Actor


@dataclass(frozen=True)
class Acme:
    """`root` administers the installation, `joe` acme, `eve` other; `sam` is an ordinary user of acme."""

    root: Somebody
    joe: Somebody
    sam: Somebody
    eve: Somebody


def make_acme(server: Api, database: Database) -> Acme:
    """Make them."""
    secret = server.administrator.token.secret
    actor: Actor = database.read_sync(authenticate, secret).actor
    root = Somebody(server.administrator.user, secret, actor)
    for name in ("acme", "other"):
        database.write_sync(create_organization, actor, name)
    joe = somebody(database, actor, "joe", "acme", administrator=True)
    sam = somebody(database, actor, "sam", "acme")
    eve = somebody(database, actor, "eve", "other", administrator=True)
    return Acme(root, joe, sam, eve)


def somebody(database: Database, root: Actor, name: str, organization: str, *, administrator: bool = False) -> Somebody:
    """A user of an organization, or its administrator."""
    role = database.read_sync(resolve_role, root, f"{organization}.admin")
    user = database.write_sync(create_user, root, name, organization_id=role.organization_id)
    if administrator:
        database.write_sync(add_role_member, root, role, user_id=user.id)
    secret = database.write_sync(create_token, root, user_id=user.id).secret
    return Somebody(user, secret, database.read_sync(authenticate, secret).actor)
