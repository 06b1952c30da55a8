"""Organizations with people in them, on a real database: for tests of who may do what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dais.identity import (
    Actor,
    Organization,
    Role,
    Team,
    add_role_member,
    authenticate,
    bootstrap,
    create_organization,
    create_role_key,
    create_team,
    create_token,
    create_user,
    get_role,
    grant_account,
    list_roles,
    may,
    resource_at,
)
from dais.kit.database import Database, UnitOfWork
from dais.kit.errors import DaisError
from dais.kit.paging import Page


class People:
    """Makes users and acts as them. `root` administers the installation."""

    def __init__(self, database: Database) -> None:
        self.db = database
        made = database.write_sync(bootstrap, "root")
        assert made is not None
        self.root = self.actor(made.token.secret)

    def actor(self, secret: str) -> Actor:
        """Who acts with a token."""
        found: Actor = self.db.read_sync(authenticate, secret).actor
        return found

    def organization(self, name: str) -> Organization:
        made: Organization = self.db.write_sync(create_organization, self.root, name)
        return made

    def user(self, name: str, organization_id: str | None = None, *, administrator: bool = False) -> Actor:
        """A new user with a token."""
        user = self.db.write_sync(
            create_user, self.root, name, organization_id=organization_id, administrator=administrator
        )
        return self.actor(self.db.write_sync(create_token, self.root, user_id=user.id).secret)

    def chief(self, name: str, organization_id: str) -> Actor:
        """A new user who administers the organization."""
        made = self.user(name, organization_id)
        role = self.role("organization", organization_id, "admin")
        self.db.write_sync(add_role_member, self.root, role, user_id=made.id)
        return made

    def role(self, parent_type: str, parent_id: str, name: str) -> Role:
        """A role by its name."""
        page: Page[Role] = self.db.read_sync(list_roles, self.root, parent_type=parent_type, parent_id=parent_id)
        return next(role for role in page.items if role.name == name)

    def narrowed(self, actor: Actor, *statements: str) -> Actor:
        """The actor with a token that is narrowed."""
        return self.actor(self.db.write_sync(create_token, actor, narrowed=list(statements)).secret)

    def key(self, actor: Actor, role: Role) -> Actor:
        """Who acts with a key of the role that the actor makes."""
        role = self.db.read_sync(get_role, role.id)
        return self.actor(self.db.write_sync(create_role_key, actor, role).secret)

    def grant(self, account_id: str, actor: Actor) -> None:
        self.db.write_sync(grant_account, self.root, account_id, actor.id)

    def teams(self, actor: Actor, *names: str) -> list[Team]:
        """Teams that the actor makes."""
        return [self.db.write_sync(create_team, actor, name) for name in names]

    def may_do(self, actor: Actor, action: str, account_id: str) -> bool:
        """Whether the actor may do it with something in the account."""

        def ask(uow: UnitOfWork) -> bool:
            return may(uow, actor, action, resource_at(uow, action.partition(":")[0], "x", account_id=account_id))

        return bool(self.db.read_sync(ask))


def refused(code: str, verb: Callable[[], Any]) -> DaisError:
    """The error of this code that the verb raises."""
    with pytest.raises(DaisError) as caught:
        verb()
    assert caught.value.code == code, caught.value
    return caught.value
