"""Finding secrets: their names for people and for a submit, their values for a launch alone."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Sequence

from sqlalchemy import bindparam, select

from dais.compute.jobs.types import Work
from dais.compute.secrets.tables import secrets
from dais.compute.secrets.types import Given, Refused, Secret
from dais.engines.contract import File
from dais.identity import (
    Account,
    Actor,
    conditions,
    get_account,
    listed,
    may_see,
    require,
    resolve_account,
    user_names,
)
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.kit.errors import Invalid, NotFound, Unavailable
from dais.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from dais.kit.vault import Vault
from dais.wire.secrets import place
from dais.wire.spec import SecretUse

READABLE_BY_OWNER = 0o400

_columns = (
    secrets.c.id,
    secrets.c.account_id,
    secrets.c.name,
    secrets.c.size,
    secrets.c.set_by,
    secrets.c.set_at,
)
_one = Statement(
    select(*_columns).where(secrets.c.account_id == bindparam("account_id"), secrets.c.name == bindparam("name"))
)
_names = Statement(select(secrets.c.name).where(secrets.c.account_id == bindparam("account_id")).limit(1_000))
_sealed = Statement(
    select(secrets.c.account_id, secrets.c.name, secrets.c.sealed).where(in_list(secrets.c.account_id, "accounts"))
)


@functools.cache
def _page(shape: frozenset[str]) -> Statement:
    """A page of secrets by name; `shape` as `conditions` takes it, `account_id`."""
    query = (
        select(*_columns)
        .where(
            (secrets.c.name > bindparam("name"))
            | ((secrets.c.name == bindparam("name")) & (secrets.c.id > bindparam("id"))),
            *conditions(shape, "secret", id=secrets.c.id, account=secrets.c.account_id),
        )
        .order_by(secrets.c.name, secrets.c.id)
        .limit(bindparam("limit"))
    )
    if "account_id" in shape:
        query = query.where(secrets.c.account_id == bindparam("account_id"))
    return Statement(query)


def get_secret(uow: UnitOfWork, actor: Actor, name: str, *, account: str | None = None) -> Secret:
    """A secret of an account, without its value. Raises NotFound `no-such-secret`, Forbidden."""
    where = resolve_account(uow, actor, account)
    return answers(uow, [find_secret(uow, actor, where, name, "secret:get")])[0]


def find_secret(uow: UnitOfWork, actor: Actor, where: Account, name: str, action: str) -> Row:
    """The row of a secret with which the actor may do `action`. Raises NotFound `no-such-secret`, Forbidden."""
    row = uow.one(_one, account_id=where.id, name=name[:300])
    hidden = functools.partial(no_such_secret, uow, actor, where, name)
    if row is None:
        raise hidden()
    require(uow, actor, action, account_id=where.id, resource_id=row.id, hidden=hidden)
    return row


def list_secrets(
    uow: UnitOfWork, actor: Actor, *, account: str | None = None, limit: int = 100, cursor: str | None = None
) -> Page[Secret]:
    """The secrets of the accounts that `actor` may see, by name; of one account if one is given."""
    check_limit(limit)
    name, last = decode_cursor(cursor, tuple[str, str]) if cursor is not None else ("", "")
    of = {"account_id": resolve_account(uow, actor, account).id} if account is not None else {}
    of |= listed(uow, actor, "secret:list", account_id=of.get("account_id")).values
    rows = uow.all(_page(frozenset(of)), name=name, id=last, limit=limit + 1, **of)
    items = answers(uow, rows[:limit])
    return Page(items, encode_cursor(items[-1].name, items[-1].id) if len(rows) > limit else None)


def check_uses(uow: UnitOfWork, actor: Actor, account: Account, uses: Sequence[SecretUse]) -> None:
    """Refuse a spec that names a secret which its account does not have, or the actor may not give to jobs.

    That is whoever may get it: what a job knows, who submits it can find out. Raises Invalid `no-such-secret`.
    """
    for use in uses:
        try:
            find_secret(uow, actor, account, use.name, "secret:get")
        except NotFound as error:
            raise Invalid(error.message, code=error.code, **error.fields) from error


def open_secrets(uow: UnitOfWork, vault: Vault, works: Iterable[Work]) -> dict[str, Given | Refused]:
    """The values that runs are given, by run. For their launch alone: nothing of this may be stored or logged."""
    wanted = [work for work in works if work.spec.secrets]
    sealed = {
        (row.account_id, row.name): row.sealed
        for row in uow.all(_sealed, accounts=sorted({work.account_id for work in wanted}))
    }
    return {work.run_id: _open(vault, work, sealed) for work in wanted}


def secret_values(
    uow: UnitOfWork, actor: Actor, vault: Vault, account: Account, names: Sequence[str]
) -> dict[str, bytes]:
    """The values of an account's secrets, for steps of an image's build alone. Raises Invalid, Forbidden."""
    check_uses(uow, actor, account, [SecretUse(name=name) for name in names])
    sealed = {row.name: row.sealed for row in uow.all(_sealed, accounts=[account.id])}
    context = (account.organization_id, account.id)
    return {name: vault.open(sealed[name], *bound_to(*context, name)) for name in names}


def bound_to(organization_id: str, account_id: str, name: str) -> tuple[str, ...]:
    """What a sealed value is bound to: in another organization, account or name it cannot be opened."""
    return ("secret", organization_id, account_id, name)


def answers(uow: UnitOfWork, rows: Sequence[Row]) -> list[Secret]:
    """Rows as others see them."""
    people = user_names(uow, {row.set_by for row in rows})
    accounts = {account_id: get_account(uow, account_id) for account_id in {row.account_id for row in rows}}
    return [
        Secret(
            id=row.id,
            name=row.name,
            account=accounts[row.account_id].full_name,
            account_id=row.account_id,
            organization_id=accounts[row.account_id].organization_id,
            size=row.size,
            set_by=people.get(row.set_by, ""),
            set_at=row.set_at,
        )
        for row in rows
    ]


def no_such_secret(uow: UnitOfWork, actor: Actor, account: Account, name: str) -> NotFound:
    """The error that names the nearest one (to whoever may list them), or how to set it."""
    names = [row.name for row in uow.all(_names, account_id=account.id)]
    near = difflib.get_close_matches(name[:300], names, 1) if may_see(uow, actor, "secret:list", account.id) else []
    hint = f"did you mean {near[0]}?" if near else f"set it: dais secret set {name[:80]} --account {account.full_name}"
    return NotFound(
        f"there is no secret {name[:80]!r} in {account.full_name}; {hint}",
        code="no-such-secret",
        secret=name[:80],
        account=account.full_name,
    )


def _open(vault: Vault, work: Work, sealed: dict[tuple[str, str], str]) -> Given | Refused:
    variables: dict[str, str] = {}
    files: list[File] = []
    for use in work.spec.secrets:
        found = sealed.get((work.account_id, use.name))
        if found is None:
            return Refused(
                "secret-missing",
                f"the secret {use.name} of {work.account} was removed while the job waited; set it again "
                f"(dais secret set {use.name} --account {work.account}), then `dais job retry {work.job_id}`",
            )
        try:
            value = vault.open(found, *bound_to(work.organization_id, work.account_id, use.name))
        except Unavailable as error:
            return Refused("secret-unreadable", f"secret {use.name} of {work.account}: {error.message}")
        if use.file is not None:
            files.append(File(target=use.file, content=value, mode=READABLE_BY_OWNER))
            continue
        text = _text(value)
        if text is None:
            return Refused(
                "secret-unreadable",
                f"the secret {use.name} of {work.account} is not text, which a variable must be; give it to the job as "
                f"a file: --secret {use.name}:/run/secrets/{use.name}",
            )
        variables[place(use)] = text
    return Given(variables, tuple(files))


def _text(value: bytes) -> str | None:
    """The value as a variable can have it; None when it cannot."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
