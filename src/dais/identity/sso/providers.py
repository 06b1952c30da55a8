"""Setting up whom single sign-on is done with. All of it is for administrators of the installation."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select, update

from dais.identity.commands.names import check_name, check_text, taken
from dais.identity.queries.names import nearest
from dais.identity.queries.organizations import get_organization
from dais.identity.rules import require
from dais.identity.sso.tables import identity_providers, linked_identities
from dais.identity.sso.types import IdentityProvider, RoleRule
from dais.identity.types import Actor
from dais.kit.database import Event, Row, Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid, NotFound, TooMany
from dais.kit.ids import new_id
from dais.kit.vault import Vault

MOST_PROVIDERS = 50
SCOPES = "openid email profile"

_insert = Statement(insert(identity_providers))
_all = Statement(select(identity_providers).order_by(identity_providers.c.name))
_by_name = Statement(select(identity_providers).where(identity_providers.c.name == bindparam("name")))
_by_issuer = Statement(select(identity_providers.c.name).where(identity_providers.c.issuer == bindparam("issuer")))
_count = Statement(select(func.count()).select_from(identity_providers))
_remove = Statement(delete(identity_providers).where(identity_providers.c.id == bindparam("provider_id")))
_unlink = Statement(delete(linked_identities).where(linked_identities.c.issuer == bindparam("its_issuer")))
_sealed = Statement(
    select(identity_providers.c.id, identity_providers.c.sealed).where(identity_providers.c.sealed.is_not(None))
)
_reseal = Statement(
    update(identity_providers)
    .where(identity_providers.c.id == bindparam("provider_id"))
    .values(sealed=bindparam("again"))
)
_domain = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_scope = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


class NewProvider(msgspec.Struct, frozen=True, kw_only=True):
    """What an administrator says of a provider; see IdentityProvider. `secret` is the client's, None: it has none."""

    name: str
    issuer: str
    client_id: str
    secret: str | None = msgspec.field(default=None)
    organization_id: str
    label: str = ""
    scopes: str = SCOPES
    creates_users: bool = False
    links_by_email: bool = False
    strong: bool = False
    internal: bool = False
    domains: tuple[str, ...] = ()
    roles: tuple[RoleRule, ...] = ()

    def __repr__(self) -> str:
        return f"NewProvider(name={self.name!r}, issuer={self.issuer!r})"


def create_provider(uow: UnitOfWork, actor: Actor, vault: Vault, wanted: NewProvider) -> IdentityProvider:
    """Let people sign in with a provider. Raises Invalid `bad-issuer|domain|scopes`, Conflict `…-exists`."""
    require(uow, actor, "installation:set")
    check_name(wanted.name, "an identity provider")
    issuer = check_issuer(wanted.issuer, wanted.internal)
    scopes = wanted.scopes.split()
    if "openid" not in scopes or not all(map(_scope.fullmatch, scopes)) or len(wanted.scopes) > 255:
        raise Invalid(f"scopes are words with openid among them, as `{SCOPES}`", code="bad-scopes")
    if not wanted.client_id or not check_text(wanted.client_id, "a client id", 255):
        raise Invalid("a client id is needed: the provider gives one when Dais is registered there", code="bad-client")
    domains = tuple(_checked_domain(domain) for domain in wanted.domains)
    if uow.one(_by_name, name=wanted.name) is not None:
        raise taken("an identity provider", wanted.name)
    other = uow.scalar(_by_issuer, issuer=issuer)
    if other is not None:
        raise Conflict(f"the provider {other} has this issuer already", code="issuer-exists", name=other)
    if uow.scalar(_count) >= MOST_PROVIDERS:
        raise TooMany(f"there are {MOST_PROVIDERS} identity providers, which is the limit", code="too-many-providers")
    get_organization(uow, wanted.organization_id)
    provider_id = new_id()
    uow.run(
        _insert,
        id=provider_id,
        name=wanted.name,
        label=check_text(wanted.label, "a label", 100) or wanted.name,
        issuer=issuer,
        client_id=wanted.client_id.strip(),
        sealed=vault.seal(wanted.secret.encode(), *bound_to(provider_id)) if wanted.secret else None,
        scopes=" ".join(scopes),
        organization_id=wanted.organization_id,
        creates_users=int(wanted.creates_users),
        links_by_email=int(wanted.links_by_email),
        strong=int(wanted.strong),
        internal=int(wanted.internal),
        domains=msgspec.json.encode(domains).decode(),
        roles=msgspec.json.encode(wanted.roles).decode(),
        created_at=uow.now,
    )
    uow.emit(Event("identity-provider.new", "installation", provider_id, None, {"name": wanted.name, "issuer": issuer}))
    return find_provider(uow, wanted.name)


def list_providers(uow: UnitOfWork, actor: Actor) -> list[IdentityProvider]:
    """Every provider, by name."""
    require(uow, actor, "installation:get")
    return all_providers(uow)


def remove_provider(uow: UnitOfWork, actor: Actor, name: str) -> None:
    """Let nobody sign in with a provider any more, and forget whom its users are here. Raises NotFound."""
    require(uow, actor, "installation:set")
    provider = find_provider(uow, name)
    uow.run(_remove, provider_id=provider.id)
    uow.run(_unlink, its_issuer=provider.issuer)
    uow.emit(Event("identity-provider.removed", "installation", provider.id, None, {"name": name}))


def all_providers(uow: UnitOfWork) -> list[IdentityProvider]:
    """Every provider, for the page on which people sign in; whoever asks."""
    return [_provider(row) for row in uow.all(_all)]


def find_provider(uow: UnitOfWork, name: str) -> IdentityProvider:
    """A provider by its name, whoever asks. Raises NotFound `no-such-provider`."""
    row = uow.one(_by_name, name=name)
    if row is None:
        near = nearest(name, uow.all(_all))
        hint = f"; did you mean {near}?" if near else ""
        raise NotFound(f"there is no identity provider {name[:63]!r}{hint}", code="no-such-provider", name=name[:63])
    return _provider(row)


def reseal_providers(uow: UnitOfWork, actor: Actor, vault: Vault) -> int:
    """Encrypt every client's secret with the newest key of the vault; how many. Administrators only."""
    require(uow, actor, "installation:set")
    again = []
    for row in uow.all(_sealed):
        context = bound_to(row.id)
        again.append({"provider_id": row.id, "again": vault.seal(vault.open(row.sealed, *context), *context)})
    uow.many(_reseal, again)
    return len(again)


def bound_to(provider_id: str) -> tuple[str, ...]:
    """What a sealed client secret is bound to."""
    return ("identity-provider", provider_id)


def check_issuer(issuer: str, internal: bool) -> str:
    """The issuer itself. Raises Invalid `bad-issuer`. Plain http is for internal addresses alone."""
    parts = urlsplit(issuer)
    schemes = ("https", "http") if internal else ("https",)
    if parts.scheme not in schemes or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise Invalid(
            f"{issuer[:200]!r} is no issuer: it is the address that the provider calls itself by, as "
            "https://login.example.org/realms/lab, without ? and #"
            + ("" if internal else "; plain http is taken with --internal alone"),
            code="bad-issuer",
        )
    if len(issuer) > 512 or not issuer.isascii() or not issuer.isprintable():
        raise Invalid("an issuer has at most 512 plain characters", code="bad-issuer")
    return issuer


def _checked_domain(domain: str) -> str:
    found = domain.strip().lower().removeprefix("@")
    if not _domain.fullmatch(found) or len(found) > 253:
        raise Invalid(f"{domain[:80]!r} is no e-mail domain; it looks like example.org", code="bad-domain")
    return found


def _provider(row: Row) -> IdentityProvider:
    return IdentityProvider(
        id=row.id,
        name=row.name,
        label=row.label,
        issuer=row.issuer,
        client_id=row.client_id,
        sealed=row.sealed,
        scopes=row.scopes,
        organization_id=row.organization_id,
        creates_users=bool(row.creates_users),
        links_by_email=bool(row.links_by_email),
        strong=bool(row.strong),
        internal=bool(row.internal),
        domains=msgspec.json.decode(row.domains, type=tuple[str, ...]),
        roles=msgspec.json.decode(row.roles, type=tuple[RoleRule, ...]),
        created_at=row.created_at,
    )
