"""Accounts: nodes of an organization's tree."""

from __future__ import annotations

import contextlib
import difflib
import functools
from collections.abc import Iterator, Sequence

from sqlalchemy import bindparam, func, select

from dais.identity.errors import no_such_account
from dais.identity.queries.organizations import resolve_organization
from dais.identity.rules import may, resource_at, visible
from dais.identity.seeing import conditions
from dais.identity.tables import account_ancestors, accounts, organizations
from dais.identity.topics import CHANGED
from dais.identity.types import Account, Actor, Organization
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.kit.errors import NotFound
from dais.kit.ids import is_id
from dais.kit.paging import Page, check_limit, decode_cursor, encode_cursor

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
_account_label = func.replace(func.replace(accounts.c.full_name, ".", "-"), "_", "-")
_labelled = Statement(_accounts.where(in_list(_account_label, "labels")).order_by(accounts.c.full_name).limit(20))
_above = Statement(
    select(account_ancestors.c.ancestor_id).where(account_ancestors.c.account_id == bindparam("account_id"))
)


def get_account(uow: UnitOfWork, account_id: str) -> Account:
    """The account, whoever asks. Raises NotFound `no-such-account`."""
    return uow.remembered(CHANGED, ("account", account_id), lambda: _load(uow, account_id))


def _load(uow: UnitOfWork, account_id: str) -> Account:
    row = uow.one(_account_by_id, id=account_id)
    if row is None:
        raise no_such_account(account_id)
    return _account(row)


def accounts_labelled(uow: UnitOfWork, labels: Sequence[str]) -> list[Account]:
    """The accounts, whoever asks, whose full names are these once `.` and `_` are written as `-`; the first 20."""
    return [_account(row) for row in uow.all(_labelled, labels=list(labels))] if labels else []


def resolve_account(uow: UnitOfWork, actor: Actor, name: str | None) -> Account:
    """The account that a name means to `actor`: a full name `org.a.b`, an id, or a name below their organization.

    None means the personal account. Raises NotFound `no-such-account`, with the nearest name, also for accounts that
    the actor may not see.
    """
    if name is None:
        return get_account(uow, actor.account_id)
    for found in _candidates(uow, actor, name):
        if may(uow, actor, "account:get", resource_at(uow, "account", found.id)):
            return found
    names = [account.full_name for account in list_accounts(uow, actor, limit=1000).items]
    near = difflib.get_close_matches(name[:200], names, 1)
    short = {full.removeprefix(f"{actor.organization}."): full for full in names}
    near = near or [short[found] for found in difflib.get_close_matches(name[:200], short, 1)]
    raise no_such_account(name[:200], near)


def resolve_place(uow: UnitOfWork, actor: Actor, name: str) -> Organization | Account:
    """What an account can lie in: the organization of that name or id, else the account. Raises NotFound."""
    try:
        return resolve_organization(uow, actor, name)
    except NotFound:
        return resolve_account(uow, actor, name)


def list_accounts(
    uow: UnitOfWork,
    actor: Actor,
    *,
    below: Organization | Account | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[Account]:
    """The accounts that `actor` may see, by full name; `below` an account or an organization: those right below it.

    Raises Invalid `bad-limit`, `bad-cursor`.
    """
    check_limit(limit)
    (after,) = decode_cursor(cursor, tuple[str]) if cursor is not None else ("",)
    seen = visible(uow, actor, "account:list", holder=None)
    values = dict(seen.values)
    if below is not None:
        values["below" if isinstance(below, Account) else "top_of"] = below.id
    rows = uow.all(_page(frozenset(values)), after=after, limit=limit + 1, **values)
    items = [_account(row) for row in rows[:limit]]
    return Page(items, encode_cursor(items[-1].full_name) if len(rows) > limit else None)


def account_and_above(uow: UnitOfWork, account_id: str) -> list[str]:
    """The ids of the account and of all that it lies in."""
    return [row.ancestor_id for row in uow.all(_above, account_id=account_id)]


@functools.cache
def _page(shape: frozenset[str]) -> Statement:
    query = _accounts.where(
        accounts.c.full_name > bindparam("after"),
        *conditions(shape, "account", id=accounts.c.id, account=accounts.c.id),
    )
    if "below" in shape:
        query = query.where(accounts.c.parent_id == bindparam("below"))
    if "top_of" in shape:
        query = query.where(accounts.c.organization_id == bindparam("top_of"), accounts.c.parent_id.is_(None))
    return Statement(query.order_by(accounts.c.full_name).limit(bindparam("limit")))


def _candidates(uow: UnitOfWork, actor: Actor, name: str) -> Iterator[Account]:
    if is_id(name):
        with contextlib.suppress(NotFound):
            yield get_account(uow, name)
        return
    for full_name in (name, f"{actor.organization}.{name}"):
        row = uow.one(_account_by_name, full_name=full_name)
        if row is not None:
            yield _account(row)


def _account(row: Row) -> Account:
    return Account(
        id=row.id,
        name=row.name,
        full_name=row.full_name,
        organization_id=row.organization_id,
        organization=row.organization,
        parent_id=row.parent_id,
    )
