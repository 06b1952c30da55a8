"""Invitations: somebody who may, asks somebody else in, with the roles of accounts that they shall have.

What an inviter may not grant cannot be promised; and when the invitation is accepted the inviter is asked again, as
they are then. A link is good for a week and once; inviting the same address again makes an older one worthless.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select, update

from dais.identity.commands.names import changed, check_email
from dais.identity.commands.roles import add_role_member
from dais.identity.commands.users import new_user
from dais.identity.granting import require_to_be_let_in
from dais.identity.queries.accounts import resolve_account
from dais.identity.queries.organizations import get_organization
from dais.identity.queries.roles import get_role, resolve_role, resource_of
from dais.identity.queries.users import get_user
from dais.identity.rules import require, require_on
from dais.identity.secrets import hash_of, random_digits
from dais.identity.sessions import Browser
from dais.identity.settings import IdentitySettings
from dais.identity.signing_in.keeping import first_password
from dais.identity.signing_in.steps import Entry, signed_in
from dais.identity.signing_in.tables import invitations
from dais.identity.tables import organizations, users
from dais.identity.types import Actor, Role
from dais.kit.clock import SECOND
from dais.kit.database import Event, Row, Statement, UnitOfWork
from dais.kit.errors import Conflict, DaisError, Forbidden, Invalid, NotFound, TooMany, Unauthenticated
from dais.kit.ids import new_id

INVITATION_SECONDS = 7 * 86_400
"""For how long an invitation is good."""
MOST_OPEN = 1_000
"""Invitations of one organization that may be open."""
MOST_GRANTS = 50
DEFAULT_ROLE = "user"

_insert = Statement(insert(invitations))
_with_email = Statement(select(users.c.id).where(users.c.email == bindparam("email")))
_open = invitations.c.accepted_at.is_(None) & (invitations.c.expires_at > bindparam("now"))
_count = Statement(
    select(func.count())
    .select_from(invitations)
    .where(invitations.c.organization_id == bindparam("organization_id"), _open)
)
_drop_older = Statement(
    delete(invitations).where(
        invitations.c.organization_id == bindparam("organization_id"),
        invitations.c.email == bindparam("email"),
        invitations.c.accepted_at.is_(None),
    )
)
_joined = (
    select(invitations, organizations.c.name.label("organization"), users.c.name.label("inviter"))
    .join(organizations, organizations.c.id == invitations.c.organization_id)
    .join(users, users.c.id == invitations.c.invited_by)
)
_by_hash = Statement(_joined.where(invitations.c.hash == bindparam("hash")))
_by_id = Statement(_joined.where(invitations.c.id == bindparam("id")))
_of_organization = Statement(
    _joined.where(invitations.c.organization_id == bindparam("organization_id"))
    .order_by(invitations.c.id.desc())
    .limit(MOST_OPEN)
)
_take = Statement(
    update(invitations).where(invitations.c.id == bindparam("its_id"), _open).values(accepted_at=bindparam("now"))
)
_taken_by = Statement(
    update(invitations).where(invitations.c.id == bindparam("its_id")).values(accepted_by=bindparam("its_user"))
)
_remove = Statement(delete(invitations).where(invitations.c.id == bindparam("its_id")))
_mailed = Statement(update(invitations).where(invitations.c.id == bindparam("its_id")).values(mail=bindparam("said")))
_grants = msgspec.json.Decoder(tuple[str, ...])


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """`roles` are the full names of those that the invitee gets; instants are µs.

    `mail` says how its mail went: "sent", or why not; None: none was sent.
    """

    id: str
    email: str
    organization: str
    organization_id: str
    invited_by: str
    roles: tuple[str, ...]
    created_at: int
    expires_at: int
    accepted_at: int | None
    mail: str | None


class NewInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation just made. `secret` is told this once."""

    invitation: Invitation
    secret: str


def invite(
    uow: UnitOfWork, actor: Actor, email: str, grants: Sequence[str], *, organization_id: str | None = None
) -> NewInvitation:
    """Invite somebody into an organization (by default the actor's).

    `grants` are accounts, `acme.lab` for its role `user`, `acme.lab:admin` for another one. Raises Forbidden
    `not-allowed`, `beyond-own`; Conflict `email-taken`; NotFound; TooMany `too-many-invitations`.
    """
    organization_id = organization_id or actor.organization_id
    require(uow, actor, "invitation:new", organization_id=organization_id)
    email = check_email(email)
    if uow.one(_with_email, email=email) is not None:
        raise Conflict(f"somebody has the address {email} already", code="email-taken", email=email)
    if len(grants) > MOST_GRANTS:
        raise Invalid(f"an invitation is for at most {MOST_GRANTS} accounts", code="too-many-grants")
    roles = [_role(uow, actor, text, organization_id) for text in dict.fromkeys(grants)]
    for role in roles:
        require_on(uow, actor, "role:set", resource_of(uow, role))
        require_to_be_let_in(uow, actor, "role", role.id)
    uow.run(_drop_older, organization_id=organization_id, email=email)
    if uow.scalar(_count, organization_id=organization_id, now=uow.now) >= MOST_OPEN:
        raise TooMany(
            f"{MOST_OPEN:,} invitations are open, which is the limit; remove some with `dais invitation rm`",
            code="too-many-invitations",
        )
    invitation_id, secret = new_id(), random_digits()
    uow.run(
        _insert,
        id=invitation_id,
        organization_id=organization_id,
        email=email,
        invited_by=actor.id,
        grants=msgspec.json.encode([role.id for role in roles]).decode(),
        hash=hash_of(secret),
        created_at=uow.now,
        expires_at=uow.now + INVITATION_SECONDS * SECOND,
        accepted_at=None,
        accepted_by=None,
        mail=None,
    )
    changed(uow, Event("invitation.new", "invitation", invitation_id, None, {"email": email}))
    return NewInvitation(invitation=_of(uow, uow.one(_by_id, id=invitation_id)), secret=secret)


def note_mail(uow: UnitOfWork, invitation_id: str, said: str) -> None:
    """Write down how the mail of an invitation went."""
    uow.run(_mailed, its_id=invitation_id, said=said[:300])


def list_invitations(uow: UnitOfWork, actor: Actor, organization_id: str | None = None) -> list[Invitation]:
    """The invitations of an organization, by default the actor's, the newest first; also what came of them."""
    organization_id = organization_id or actor.organization_id
    require(uow, actor, "invitation:list", organization_id=organization_id)
    return [_of(uow, row) for row in uow.all(_of_organization, organization_id=organization_id)]


def remove_invitation(uow: UnitOfWork, actor: Actor, invitation_id: str) -> None:
    """Take an invitation back; its link is good no more. Raises NotFound `no-such-invitation`."""
    row = uow.one(_by_id, id=invitation_id)
    missing = NotFound(f"there is no invitation {invitation_id[:80]!r}", code="no-such-invitation")
    if row is None:
        raise missing
    place = row.organization_id
    require(uow, actor, "invitation:rm", organization_id=place, resource_id=row.id, hidden=lambda: missing)
    uow.run(_remove, its_id=row.id)
    changed(uow, Event("invitation.removed", "invitation", row.id, None, {"email": row.email}))


def find_invitation(uow: UnitOfWork, secret: str) -> Invitation:
    """The invitation of a link that is good. Raises Unauthenticated `bad-invitation`."""
    row = uow.one(_by_hash, hash=hash_of(secret))
    if row is None or row.accepted_at is not None or row.expires_at <= uow.now:
        raise _bad_invitation()
    return _of(uow, row)


def accept_invitation(
    uow: UnitOfWork,
    secret: str,
    name: str,
    full_name: str | None,
    password: str,
    *,
    browser: Browser,
    settings: IdentitySettings,
) -> Entry:
    """Become a user, with a password (a hash); signed in, or on the way to it.

    Of two that accept the same invitation at the same time one does. Raises Unauthenticated `bad-invitation`, Invalid
    `bad-name`, `bad-text`, Conflict `user-exists`, `email-taken`.
    """
    found = find_invitation(uow, secret)
    row = uow.one(_by_id, id=found.id)
    assert row is not None
    if not uow.run(_take, its_id=found.id, now=uow.now):
        raise _bad_invitation()
    inviter = _as_now(uow, row.invited_by)
    user = new_user(uow, found.organization_id, name, email=found.email, full_name=full_name or None)
    try:
        require(uow, inviter, "invitation:new", organization_id=found.organization_id)
        for role_id in _grants.decode(row.grants):
            add_role_member(uow, inviter, get_role(uow, role_id), user_id=user.id)
    except (Forbidden, NotFound) as error:
        raise _bad_invitation(
            f"{found.invited_by} may no longer give what this invitation promises; ask for another one"
        ) from error
    uow.run(_taken_by, its_id=found.id, its_user=user.id)
    first_password(uow, user.id, password)
    changed(uow, Event("invitation.accepted", "invitation", found.id, None, {"user_id": user.id}))
    return signed_in(uow, user.id, "invitation", browser=browser, settings=settings)


def mail_of(invitation: Invitation, link: str) -> tuple[str, str]:
    """Subject and text of the mail of an invitation."""
    lines = [
        f"{invitation.invited_by} invites you to {invitation.organization} on Dais, where jobs run on shared machines.",
        "",
        "Open this within a week to choose a name and a password:",
        "",
        link,
        "",
        "If you do not know what this is, do nothing.",
        "",
    ]
    return f"{invitation.invited_by} invites you to {invitation.organization} on Dais", "\n".join(lines)


def _role(uow: UnitOfWork, actor: Actor, text: str, organization_id: str) -> Role:
    account_name, _, role_name = text.partition(":")
    account = resolve_account(uow, actor, account_name)
    if account.organization_id != organization_id:
        raise Invalid(f"{account.full_name} belongs to another organization", code="foreign-account")
    return resolve_role(uow, actor, f"{account.full_name}.{role_name or DEFAULT_ROLE}")


def _as_now(uow: UnitOfWork, user_id: str) -> Actor:
    """The inviter, with what they may do now. Raises Unauthenticated when they are let in no more."""
    user = get_user(uow, user_id)
    if user.disabled:
        raise _bad_invitation()
    return Actor(
        id=user.id,
        number=user.number,
        name=user.name,
        organization_id=user.organization_id,
        organization=get_organization(uow, user.organization_id).name,
        account_id=user.account_id,
        administrator=user.administrator,
    )


def _of(uow: UnitOfWork, row: Row) -> Invitation:
    return Invitation(
        id=row.id,
        email=row.email,
        organization=row.organization,
        organization_id=row.organization_id,
        invited_by=row.inviter,
        roles=tuple(_named(uow, role_id) for role_id in _grants.decode(row.grants)),
        created_at=row.created_at,
        expires_at=row.expires_at,
        accepted_at=row.accepted_at,
        mail=row.mail,
    )


def _named(uow: UnitOfWork, role_id: str) -> str:
    try:
        return get_role(uow, role_id).full_name
    except DaisError:
        return "(gone)"


def _bad_invitation(message: str = "") -> Unauthenticated:
    return Unauthenticated(
        message or "this invitation has been used, taken back, has expired or is not complete; ask for another one",
        code="bad-invitation",
    )
