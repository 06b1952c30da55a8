"""Setting and removing secrets, and replacing the key that they are encrypted with."""

from __future__ import annotations

import functools

from sqlalchemy import bindparam, delete, func, insert, select, update

from dais.compute.secrets.queries import answers, bound_to, find_secret
from dais.compute.secrets.tables import secrets
from dais.compute.secrets.types import Secret
from dais.identity import Actor, get_account, require, resolve_account
from dais.kit.database import Event, Statement, UnitOfWork
from dais.kit.errors import Conflict, DaisError, Invalid, TooMany
from dais.kit.ids import new_id
from dais.kit.vault import Vault
from dais.wire.problems import SpecError
from dais.wire.secrets import check_secret_name

MAX_BYTES = 64 << 10
MAX_PER_ACCOUNT = 1_000

_one = Statement(
    select(secrets).where(secrets.c.account_id == bindparam("account_id"), secrets.c.name == bindparam("name"))
)
_count = Statement(select(func.count()).select_from(secrets).where(secrets.c.account_id == bindparam("account_id")))
_set = Statement(
    insert(secrets),
    suffix="ON CONFLICT (account_id, name) DO UPDATE SET sealed = excluded.sealed, size = excluded.size, "
    "set_by = excluded.set_by, set_at = excluded.set_at",
)
_remove = Statement(
    delete(secrets).where(secrets.c.account_id == bindparam("account_id"), secrets.c.name == bindparam("name"))
)
_every = Statement(select(secrets.c.id, secrets.c.account_id, secrets.c.name, secrets.c.sealed))
_reseal = Statement(update(secrets).where(secrets.c.id == bindparam("secret_id")).values(sealed=bindparam("again")))


def set_secret(
    uow: UnitOfWork, actor: Actor, vault: Vault, name: str, value: bytes, *, account: str | None = None
) -> Secret:
    """Store a value under a name, instead of what was there. Jobs that start from now on get it.

    Raises Invalid `bad-name`, `bad-secret`, TooMany `too-many-secrets`, NotFound (account), Forbidden.
    """
    try:
        check_secret_name(name)
    except SpecError as error:
        raise Invalid(f"{error.problem}; {error.hint}", code="bad-name", name=name[:80]) from error
    if not value or len(value) > MAX_BYTES:
        raise Invalid(
            f"the value has {len(value):,} bytes; a secret has from 1 to {MAX_BYTES:,}; larger things go into a folder",
            code="bad-secret",
            size=len(value),
        )
    where = resolve_account(uow, actor, account)
    before = uow.one(_one, account_id=where.id, name=name)
    if before is None:
        require(uow, actor, "secret:new", account_id=where.id)
    else:
        hidden = functools.partial(_taken, uow, actor, where.id, name)
        require(uow, actor, "secret:set", account_id=where.id, resource_id=before.id, hidden=hidden)
    if before is None and uow.scalar(_count, account_id=where.id) >= MAX_PER_ACCOUNT:
        raise TooMany(
            f"{where.full_name} has {MAX_PER_ACCOUNT:,} secrets, which is the limit; remove some with `dais secret rm`",
            code="too-many-secrets",
            limit=MAX_PER_ACCOUNT,
        )
    uow.run(
        _set,
        id=before.id if before else new_id(),
        account_id=where.id,
        name=name,
        sealed=vault.seal(value, *bound_to(where.organization_id, where.id, name)),
        size=len(value),
        set_by=actor.id,
        created_at=before.created_at if before else uow.now,
        set_at=uow.now,
    )
    row = uow.one(_one, account_id=where.id, name=name)
    assert row is not None
    uow.emit(Event("secret.set", "secret", row.id, where.id, {"name": name}))
    return answers(uow, [row])[0]


def _taken(uow: UnitOfWork, actor: Actor, account_id: str, name: str) -> DaisError:
    """For who cannot see the secret of this name: as if it were not there, until they could make it."""
    require(uow, actor, "secret:new", account_id=account_id)
    return Conflict(f"the name {name} is taken; choose another one", code="already-exists", name=name)


def remove_secret(uow: UnitOfWork, actor: Actor, name: str, *, account: str | None = None) -> None:
    """Forget a secret. Jobs that wait for their start and name it will fail; what runs keeps what it was given.

    Raises NotFound `no-such-secret`, Forbidden.
    """
    where = resolve_account(uow, actor, account)
    row = find_secret(uow, actor, where, name, "secret:rm")
    uow.run(_remove, account_id=where.id, name=name)
    uow.emit(Event("secret.removed", "secret", row.id, where.id, {"name": name}))


def reseal_secrets(uow: UnitOfWork, actor: Actor, vault: Vault) -> int:
    """Encrypt every secret with the newest key of the vault; how many. Administrators only."""
    require(uow, actor, "installation:set")
    organizations: dict[str, str] = {}
    again = []
    for row in uow.all(_every):
        if row.account_id not in organizations:
            organizations[row.account_id] = get_account(uow, row.account_id).organization_id
        context = bound_to(organizations[row.account_id], row.account_id, row.name)
        again.append({"secret_id": row.id, "again": vault.seal(vault.open(row.sealed, *context), *context)})
    uow.many(_reseal, again)
    return len(again)
