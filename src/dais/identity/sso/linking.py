"""Whom a provider's user is here: linked before, else found by a verified address, else made, else nobody."""

from __future__ import annotations

from sqlalchemy import bindparam, insert, select, update

from dais.identity.audit import record
from dais.identity.commands.names import check_email, check_text
from dais.identity.commands.roles import drop_member, new_member
from dais.identity.commands.users import name_from, new_user
from dais.identity.queries.roles import get_role
from dais.identity.queries.users import find_by_email, get_user
from dais.identity.sso.providers import find_provider
from dais.identity.sso.tables import identity_providers, linked_identities
from dais.identity.sso.types import Claims, IdentityProvider
from dais.identity.tables import role_users, users
from dais.identity.types import Actor, User
from dais.identity.urns import urn
from dais.kit.database import Event, Statement, UnitOfWork
from dais.kit.errors import Conflict, DaisError, Forbidden
from dais.kit.ids import new_id

MOST_NAMES = 100
"""Names that are tried for a new user: `joe`, `joe-2`, …"""

_linked = Statement(
    select(linked_identities.c.id, linked_identities.c.user_id).where(
        linked_identities.c.issuer == bindparam("issuer"), linked_identities.c.subject == bindparam("subject")
    )
)
_link = Statement(insert(linked_identities))
_used = Statement(
    update(linked_identities)
    .where(linked_identities.c.id == bindparam("link_id"))
    .values(last_used_at=bindparam("now"), email=bindparam("seen_email"))
)
_of_name = Statement(
    select(users.c.id).where(users.c.organization_id == bindparam("organization_id"), users.c.name == bindparam("name"))
)
_last_provider = Statement(
    select(identity_providers.c.name)
    .join(linked_identities, linked_identities.c.issuer == identity_providers.c.issuer)
    .where(linked_identities.c.user_id == bindparam("user_id"))
    .order_by(linked_identities.c.last_used_at.desc())
    .limit(1)
)
_memberships = Statement(select(role_users.c.role_id).where(role_users.c.user_id == bindparam("user_id")))


def user_of(uow: UnitOfWork, provider: IdentityProvider, claims: Claims) -> User:
    """The user here that a provider's user is, with the roles that the provider's claims give.

    An address counts only if the provider has verified it, and finds users of the provider's organization alone, never
    an administrator of the installation. Raises Forbidden `domain-not-allowed`, `sso-unknown-user`.
    """
    _check_domain(provider, claims)
    row = uow.one(_linked, issuer=provider.issuer, subject=claims.subject)
    if row is not None:
        uow.run(_used, link_id=row.id, now=uow.now, seen_email=claims.email)
        user = get_user(uow, row.user_id)
    else:
        user = _by_email(uow, provider, claims) or _made(uow, provider, claims)
        _link_to(uow, provider, claims, user)
    if user.organization_id == provider.organization_id:
        _apply_roles(uow, provider, claims, user)
    return user


def last_provider(uow: UnitOfWork, user_id: str) -> IdentityProvider | None:
    """The provider that a user last signed in with, if it is still there."""
    name = uow.scalar(_last_provider, user_id=user_id)
    return find_provider(uow, name) if name is not None else None


def _check_domain(provider: IdentityProvider, claims: Claims) -> None:
    domain = claims.email.rpartition("@")[2] if claims.email else ""
    if provider.domains and domain not in provider.domains:
        said = f"the address {claims.email} is of another domain" if claims.email else "it tells no verified address"
        raise Forbidden(
            f"{provider.label} lets in only people of {', '.join(provider.domains)}, and {said}; sign in there as "
            "somebody else, or ask an administrator",
            code="domain-not-allowed",
        )


def _by_email(uow: UnitOfWork, provider: IdentityProvider, claims: Claims) -> User | None:
    if not provider.links_by_email or claims.email is None:
        return None
    user = find_by_email(uow, claims.email)
    usable = user is not None and user.organization_id == provider.organization_id and not user.administrator
    return user if usable else None


def _made(uow: UnitOfWork, provider: IdentityProvider, claims: Claims) -> User:
    if not provider.creates_users:
        raise Forbidden(
            f"nobody here is linked to this identity of {provider.label}; ask an administrator to invite you, or to "
            "let new people in",
            code="sso-unknown-user",
            provider=provider.name,
        )
    email = claims.email if claims.email and find_by_email(uow, claims.email) is None else None
    full_name = _text(claims.full_name)
    base = name_from(claims.login or "") or name_from(claims.email or "") or "user"
    for number in range(1, MOST_NAMES + 1):
        name = base if number == 1 else f"{base[:58]}-{number}"
        if uow.one(_of_name, organization_id=provider.organization_id, name=name) is None:
            return new_user(uow, provider.organization_id, name, email=email, full_name=full_name)
    raise Conflict(f"there are {MOST_NAMES} users called like {base} already", code="user-exists", name=base)


def _link_to(uow: UnitOfWork, provider: IdentityProvider, claims: Claims, user: User) -> None:
    uow.run(
        _link,
        id=new_id(),
        issuer=provider.issuer,
        subject=claims.subject,
        user_id=user.id,
        email=claims.email,
        created_at=uow.now,
        last_used_at=uow.now,
    )
    uow.emit(Event("user.linked", "user", user.id, user.account_id, {"provider": provider.name}))
    itself = Actor(
        id=user.id,
        number=user.number,
        name=user.name,
        organization_id=user.organization_id,
        organization=user.organization,
        account_id=user.account_id,
        administrator=user.administrator,
    )
    name = urn(user.organization_id, None, "user", user.id)
    record(uow, itself, "user:set", name, user.organization_id, allowed=True, detail=None)


def _apply_roles(uow: UnitOfWork, provider: IdentityProvider, claims: Claims, user: User) -> None:
    """Memberships of the roles that the provider's rules name follow the claims, at every sign-in."""
    ruled = {rule.role_id for rule in provider.roles}
    given = {rule.role_id for rule in provider.roles if rule.value in claims.of(rule.claim)}
    held = {row.role_id for row in uow.all(_memberships, user_id=user.id)} if ruled else set()
    for role_id in sorted(given - held):
        new_member(uow, get_role(uow, role_id).id, user.id)
    for role_id in sorted((ruled & held) - given):
        drop_member(uow, get_role(uow, role_id), user.id)


def _text(text: str | None) -> str | None:
    try:
        return check_text(text or "", "a full name", 200) or None
    except DaisError:
        return None  # it is for people to read alone: better none than no way in


def checked_email(text: object) -> str | None:
    """An address as users here have it; None when it is none."""
    if not isinstance(text, str):
        return None
    try:
        return check_email(text)
    except DaisError:
        return None
