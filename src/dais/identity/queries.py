"""Reading identities, and the one place where permission is decided."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

from sqlalchemy import bindparam, select

from dais.identity.actions import check_action
from dais.identity.errors import no_such_account, not_allowed
from dais.identity.secrets import has_shape, hash_of
from dais.identity.tables import account_ancestors, account_members, accounts, organizations, tokens, users
from dais.identity.types import Account, Actor, Authenticated, User
from dais.kit.clock import to_rfc3339
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.kit.errors import NotFound, Unauthenticated
from dais.kit.ids import is_id
from dais.kit.paging import Page, check_limit, decode_cursor, encode_cursor

_authenticate = Statement(
    select(
        tokens.c.id.label("token_id"),
        tokens.c.expires_at,
        tokens.c.revoked_at,
        users.c.id,
        users.c.number,
        users.c.name,
        users.c.organization_id,
        organizations.c.name.label("organization"),
        users.c.account_id,
        users.c.administrator_at,
        users.c.disabled_at,
    )
    .join(users, users.c.id == tokens.c.user_id)
    .join(organizations, organizations.c.id == users.c.organization_id)
    .where(tokens.c.hash == bindparam("hash"))
)

_token_state = Statement(
    select(tokens.c.revoked_at, tokens.c.expires_at, users.c.disabled_at)
    .join(users, users.c.id == tokens.c.user_id)
    .where(tokens.c.id == bindparam("id"))
)

_account_columns = (
    accounts.c.id,
    accounts.c.name,
    accounts.c.full_name,
    accounts.c.organization_id,
    organizations.c.name.label("organization"),
    accounts.c.parent_id,
)
_accounts = select(*_account_columns).join(organizations, organizations.c.id == accounts.c.organization_id)
_account_by_id = Statement(_accounts.where(accounts.c.id == bindparam("id")))
_account_by_name = Statement(_accounts.where(accounts.c.full_name == bindparam("full_name")))
_page = _accounts.where(accounts.c.full_name > bindparam("after")).order_by(accounts.c.full_name)
_all_accounts = Statement(_page.limit(bindparam("limit")))
_some_accounts = Statement(_page.where(in_list(accounts.c.id, "ids")).limit(bindparam("limit")))

_membership = account_ancestors.join(account_members, account_members.c.account_id == account_ancestors.c.ancestor_id)
_is_member = Statement(
    select(account_members.c.user_id)
    .select_from(_membership)
    .where(account_ancestors.c.account_id == bindparam("account_id"), account_members.c.user_id == bindparam("user_id"))
    .limit(1)
)
_member_accounts = Statement(
    select(account_ancestors.c.account_id)
    .select_from(_membership)
    .where(account_members.c.user_id == bindparam("user_id"))
    .distinct()
)
_user_by_id = Statement(select(users).where(users.c.id == bindparam("id")))
_users_named = Statement(select(users.c.id).where(users.c.name == bindparam("name")))
_user_names = Statement(select(users.c.id, users.c.name).where(in_list(users.c.id, "ids")))


def authenticate(uow: UnitOfWork, secret: str) -> Authenticated:
    """Whose token this is. Raises Unauthenticated `token-unknown|expired|revoked` or `user-disabled`."""
    row = uow.one(_authenticate, hash=hash_of(secret)) if has_shape(secret) else None
    if row is None:
        raise Unauthenticated(
            "this installation does not know the token; check that it is complete and meant for this server",
            code="token-unknown",
        )
    if row.revoked_at is not None:
        raise Unauthenticated(
            f"the token was revoked at {to_rfc3339(row.revoked_at)}; ask the administrator for another, who gets one "
            "by `dais up --new-token`",
            code="token-revoked",
        )
    if row.expires_at is not None and row.expires_at <= uow.now:
        raise Unauthenticated(
            f"the token expired at {to_rfc3339(row.expires_at)}; make a new one", code="token-expired"
        )
    if row.disabled_at is not None:
        raise Unauthenticated(f"the user {row.name} is disabled; ask an administrator", code="user-disabled")
    actor = Actor(
        id=row.id,
        number=row.number,
        name=row.name,
        organization_id=row.organization_id,
        organization=row.organization,
        account_id=row.account_id,
        administrator=row.administrator_at is not None,
        token_id=row.token_id,
    )
    return Authenticated(actor=actor, token_id=row.token_id, expires_at=row.expires_at)


def token_holds(uow: UnitOfWork, actor: Actor) -> bool:
    """Whether the actor's token is still good; for streams that live longer than one request."""
    if actor.token_id is None:
        return True
    row = uow.one(_token_state, id=actor.token_id)
    return (
        row is not None
        and row.revoked_at is None
        and row.disabled_at is None
        and (row.expires_at is None or row.expires_at > uow.now)
    )


def require(
    uow: UnitOfWork,
    actor: Actor,
    action: str,
    *,
    account_id: str | None = None,
    resource_type: str = "",
    resource_id: str = "",
) -> None:
    """Return when `actor` may do `action`; else raise Forbidden `not-allowed`.

    Administrators of the installation may do everything. A user may do everything in the accounts granted to them
    and those below; without an account the thing belongs to the installation, and only administrators may.
    """
    check_action(action)
    if actor.administrator:
        return
    if account_id is None:
        raise not_allowed(
            actor.name, action, "in this installation", "ask an administrator of the installation", user=actor.name
        )
    if account_id == actor.account_id or uow.one(_is_member, account_id=account_id, user_id=actor.id):
        return
    account = uow.one(_account_by_id, id=account_id)
    where = f"in the account {account.full_name}" if account else "there"
    what = f"{resource_type} {resource_id} {where}" if resource_type else where
    raise not_allowed(actor.name, action, what, "ask a member of that account", user=actor.name, account_id=account_id)


def visible_accounts(uow: UnitOfWork, actor: Actor, action: str) -> list[str] | None:
    """The ids of the accounts where `actor` may do `action`; None means all."""
    check_action(action)
    if actor.administrator:
        return None
    return [row.account_id for row in uow.all(_member_accounts, user_id=actor.id)]


def get_account(uow: UnitOfWork, account_id: str) -> Account:
    """The account, whoever asks. Raises NotFound `no-such-account`."""
    row = uow.one(_account_by_id, id=account_id)
    if row is None:
        raise no_such_account(account_id)
    return _account(row)


def resolve_account(uow: UnitOfWork, actor: Actor, name: str | None) -> Account:
    """The account that a name means to `actor`: a full name `org.a.b`, an id, or a name below their organization.

    None means the personal account. Raises NotFound `no-such-account`, with the nearest name, also for accounts that
    the actor may not see.
    """
    if name is None:
        return get_account(uow, actor.account_id)
    visible = visible_accounts(uow, actor, "account:get")
    for row in _candidates(uow, actor, name):
        if row is not None and (visible is None or row.id in visible):
            return _account(row)
    names = [account.full_name for account in list_accounts(uow, actor, limit=1000).items]
    near = difflib.get_close_matches(name[:200], names, 1)
    short = {full.removeprefix(f"{actor.organization}."): full for full in names}
    near = near or [short[found] for found in difflib.get_close_matches(name[:200], short, 1)]
    raise no_such_account(name[:200], near)


def list_accounts(uow: UnitOfWork, actor: Actor, *, limit: int = 100, cursor: str | None = None) -> Page[Account]:
    """The accounts that `actor` may see, by full name. Raises Invalid `bad-limit`, `bad-cursor`."""
    check_limit(limit)
    (after,) = decode_cursor(cursor, tuple[str]) if cursor is not None else ("",)
    visible = visible_accounts(uow, actor, "account:list")
    if visible is None:
        rows = uow.all(_all_accounts, after=after, limit=limit + 1)
    else:
        rows = uow.all(_some_accounts, after=after, limit=limit + 1, ids=visible)
    items = [_account(row) for row in rows[:limit]]
    return Page(items, encode_cursor(items[-1].full_name) if len(rows) > limit else None)


def get_user(uow: UnitOfWork, user_id: str) -> User:
    """The user of an id. Raises NotFound `no-such-user`."""
    row = uow.one(_user_by_id, id=user_id)
    if row is None:
        raise NotFound(f"there is no user {user_id}", code="no-such-user", user=user_id)
    return User(
        id=row.id,
        number=row.number,
        name=row.name,
        organization_id=row.organization_id,
        account_id=row.account_id,
        administrator=row.administrator_at is not None,
    )


def user_names(uow: UnitOfWork, user_ids: Collection[str]) -> dict[str, str]:
    """The names of users by id; ids of nobody are left out."""
    return {row.id: row.name for row in uow.all(_user_names, ids=list(user_ids))} if user_ids else {}


def user_ids(uow: UnitOfWork, name: str) -> list[str]:
    """The ids of the users of a name, one for each organization that has one."""
    return [row.id for row in uow.all(_users_named, name=name)]


def _candidates(uow: UnitOfWork, actor: Actor, name: str) -> Iterator[Row | None]:
    if is_id(name):
        yield uow.one(_account_by_id, id=name)
        return
    yield uow.one(_account_by_name, full_name=name)
    yield uow.one(_account_by_name, full_name=f"{actor.organization}.{name}")


def _account(row: Row) -> Account:
    return Account(
        id=row.id,
        name=row.name,
        full_name=row.full_name,
        organization_id=row.organization_id,
        organization=row.organization,
        parent_id=row.parent_id,
    )
