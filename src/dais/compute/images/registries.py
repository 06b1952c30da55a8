"""Registries: which there are, their credentials, and which of them an organization may use.

Only administrators of the installation say so: an engine asks a registry from where it stands, also in networks that
are not the users'. An organization without a list of its own may use every registry that is registered for it or for
all; with one, just those on it.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from sqlalchemy import bindparam, delete, insert, select, update

from dais.compute.images.asking import Access
from dais.compute.images.tables import allowed_registries, registries
from dais.engines.contract import Credentials
from dais.identity import Actor, require, resolve_organization
from dais.kit.clock import to_rfc3339
from dais.kit.database import Event, Row, Statement, UnitOfWork
from dais.kit.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from dais.kit.vault import Vault
from dais.wire import answers
from dais.wire.problems import nearest
from dais.wire.references import DOCKER_HUB, LOCAL, check_registry

MOST = 500

_one = Statement(select(registries).where(registries.c.host == bindparam("host")))
_all = Statement(select(registries).order_by(registries.c.host).limit(MOST))
_set = Statement(
    insert(registries),
    suffix="ON CONFLICT (host) DO UPDATE SET kind = excluded.kind, insecure = excluded.insecure, "
    "username = excluded.username, password = excluded.password, organization_id = excluded.organization_id",
)
_first = Statement(insert(registries), suffix="ON CONFLICT (host) DO NOTHING")
_remove = Statement(delete(registries).where(registries.c.host == bindparam("host_")))
_reseal = Statement(
    update(registries).where(registries.c.host == bindparam("host_")).values(password=bindparam("again"))
)
_allowed = Statement(
    select(allowed_registries.c.host)
    .where(allowed_registries.c.organization_id == bindparam("organization_id"))
    .order_by(allowed_registries.c.host)
)
_clear = Statement(delete(allowed_registries).where(allowed_registries.c.organization_id == bindparam("organization")))
_allow = Statement(insert(allowed_registries))


class RegistryChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said of a registry; what is left out stays. A `username` of "" takes the credentials away.

    `organization` is the one that alone may use it; "" is all of them.
    """

    kind: Literal["docker-v2", "harbor"] | None = None
    insecure: bool | None = None
    username: str | None = None
    password: str | None = None
    organization: str | None = None


def set_registry(
    uow: UnitOfWork, actor: Actor, vault: Vault, host: str, change: RegistryChange, *, new: bool
) -> answers.Registry:
    """Register one, or change it. Raises Invalid, Conflict (there is one), NotFound (there is none), Forbidden."""
    require(uow, actor, "installation:set")
    host, row = _host(host), uow.one(_one, host=_host(host))
    if new and row is not None:
        raise Conflict(
            f"the registry {host} is registered; change it: dais registry set {host}", code="already-exists", name=host
        )
    if not new and row is None:
        raise _no_such_registry(uow, host)
    if new and len(uow.all(_all)) >= MOST:
        raise TooMany(f"{MOST} registries are registered, which is the limit; remove one", code="too-many-registries")
    username = change.username if change.username is not None else getattr(row, "username", None)
    sealed = getattr(row, "password", None)
    if change.password is not None:
        sealed = vault.seal(change.password.encode(), *bound_to(host))
    if not username:
        username = sealed = None
    elif sealed is None:
        raise Invalid(f"the user {username!r} of {host} needs a password: --password-stdin", code="no-password")
    organization = getattr(row, "organization_id", None)
    if change.organization is not None:
        organization = resolve_organization(uow, actor, change.organization).id if change.organization else None
    uow.run(
        _set,
        host=host,
        kind=change.kind or getattr(row, "kind", "docker-v2"),
        insecure=int(change.insecure if change.insecure is not None else bool(getattr(row, "insecure", 0))),
        username=username,
        password=sealed,
        organization_id=organization,
        created_at=row.created_at if row is not None else uow.now,
    )
    uow.emit(Event("registry.set", "installation", "", None, {"host": host}))
    return _answer(registry_row(uow, host))


def register_first(uow: UnitOfWork) -> None:
    """Docker Hub, which images without a registry in their name come from."""
    uow.run(
        _first,
        host=DOCKER_HUB,
        kind="docker-v2",
        insecure=0,
        username=None,
        password=None,
        organization_id=None,
        created_at=uow.now,
    )


def list_registries(uow: UnitOfWork, actor: Actor) -> list[answers.Registry]:
    """Every registry, for administrators. Raises Forbidden."""
    require(uow, actor, "installation:get")
    return [_answer(row) for row in uow.all(_all)]


def remove_registry(uow: UnitOfWork, actor: Actor, host: str) -> None:
    """Forget it and its credentials; images of it that are there stay. Raises NotFound, Forbidden."""
    require(uow, actor, "installation:set")
    if not uow.run(_remove, host_=_host(host)):
        raise _no_such_registry(uow, _host(host))
    uow.emit(Event("registry.removed", "installation", "", None, {"host": host}))


def get_allowed(uow: UnitOfWork, actor: Actor, organization: str) -> answers.AllowedRegistries:
    """Which registries an organization may use. Raises NotFound, Forbidden."""
    where = resolve_organization(uow, actor, organization)
    require(uow, actor, "organization:get", organization_id=where.id, resource_id=where.id)
    own = [row.host for row in uow.all(_allowed, organization_id=where.id)]
    return answers.AllowedRegistries(organization=where.name, own=own, usable=usable_hosts(uow, where.id))


def set_allowed(uow: UnitOfWork, actor: Actor, organization: str, hosts: list[str]) -> answers.AllowedRegistries:
    """Give an organization a list of its own; an empty one takes it away. Administrators of the installation only."""
    require(uow, actor, "installation:set")
    where = resolve_organization(uow, actor, organization)
    wanted = sorted({_host(host) for host in hosts})
    uow.run(_clear, organization=where.id)
    uow.many(_allow, [{"organization_id": where.id, "host": host} for host in wanted])
    uow.emit(Event("registry.allowed", "organization", where.id, None, {"hosts": wanted}))
    return get_allowed(uow, actor, organization)


def usable_hosts(uow: UnitOfWork, organization_id: str) -> list[str]:
    """The registries that images of this organization's jobs may come from."""
    own = [row.host for row in uow.all(_allowed, organization_id=organization_id)]
    if own:
        return own
    return [row.host for row in uow.all(_all) if row.organization_id in (None, organization_id)]


def check_usable(uow: UnitOfWork, organization_id: str, organization: str, host: str) -> None:
    """Raises Forbidden `registry-not-allowed` for a registry that is not the organization's to use."""
    usable = usable_hosts(uow, organization_id)
    if host in usable:
        return
    raise Forbidden(
        f"{organization} may not use images of the registry {host}; it may use: {', '.join(usable) or 'none'}. An "
        f"administrator of the installation adds others: dais registry add {host}",
        code="registry-not-allowed",
        registry=host,
    )


def credentials_of(uow: UnitOfWork, vault: Vault, host: str) -> Credentials | None:
    """What a registry is signed in to with; for the engine alone. Raises Unavailable when it cannot be opened."""
    row = uow.one(_one, host=host)
    if row is None or row.username is None:
        return None
    password = vault.open(row.password, *bound_to(host)).decode()
    return Credentials(registry=host, username=row.username, password=password)


def registry_access(uow: UnitOfWork, actor: Actor, vault: Vault, host: str) -> Access:
    """How a registry is asked; for administrators. Raises NotFound, Forbidden, Unavailable."""
    require(uow, actor, "installation:set")
    row = registry_row(uow, _host(host))
    return Access(
        host=row.host, kind=row.kind, insecure=bool(row.insecure), credentials=credentials_of(uow, vault, row.host)
    )


def reseal_registries(uow: UnitOfWork, actor: Actor, vault: Vault) -> int:
    """Encrypt every password with the newest key of the vault; how many. Administrators only."""
    require(uow, actor, "installation:set")
    rows = [row for row in uow.all(_all) if row.password is not None]
    for row in rows:
        again = vault.seal(vault.open(row.password, *bound_to(row.host)), *bound_to(row.host))
        uow.run(_reseal, host_=row.host, again=again)
    return len(rows)


def bound_to(host: str) -> tuple[str, ...]:
    """What a sealed password is bound to."""
    return ("registry", host)


def registry_row(uow: UnitOfWork, host: str) -> Row:
    """The row of a registry. Raises NotFound `no-such-registry`."""
    row = uow.one(_one, host=host)
    if row is None:
        raise _no_such_registry(uow, host)
    return row


def _host(text: str) -> str:
    try:
        host = check_registry(text)
    except ValueError as error:
        raise Invalid(str(error), code="bad-registry") from error
    if host == LOCAL:
        raise Invalid(f"{LOCAL!r} stands for images that are in no registry; name its port, too", code="bad-registry")
    return host


def _no_such_registry(uow: UnitOfWork, host: str) -> NotFound:
    near = nearest(host, [row.host for row in uow.all(_all)])
    hint = f"did you mean {near}?" if near else "`dais registry ls` lists them"
    return NotFound(f"there is no registry {host}; {hint}", code="no-such-registry", name=host)


def _answer(row: Row) -> answers.Registry:
    return answers.Registry(
        host=row.host,
        kind=row.kind,
        insecure=bool(row.insecure),
        username=row.username,
        organization_id=row.organization_id,
        created_at=to_rfc3339(row.created_at),
    )
