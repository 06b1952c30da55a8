"""Passwords as they are kept: found for a sign-in, set by their owner, by an administrator, by a link."""

from __future__ import annotations

import msgspec
from sqlalchemy import bindparam, delete, insert, select, update

from dais.identity.audit import record_anonymous
from dais.identity.granting import require_over
from dais.identity.queries.users import get_user
from dais.identity.rules import require
from dais.identity.sessions import Browser, end_sessions, new_session
from dais.identity.settings import IdentitySettings
from dais.identity.signing_in.failures import count_attempt, subject_of, take_back
from dais.identity.signing_in.links import end_links
from dais.identity.signing_in.steps import Entry, end_pending, find_pending, go_on, signed_in
from dais.identity.signing_in.tables import passwords
from dais.identity.tables import organizations, users
from dais.identity.types import Actor
from dais.identity.urns import INSTALLATION, urn
from dais.kit.database import Event, Row, Statement, UnitOfWork
from dais.kit.errors import Conflict, Unauthenticated

_candidates = (
    select(
        users.c.id,
        users.c.name.label("user_name"),
        users.c.organization_id,
        organizations.c.name.label("organization"),
        passwords.c.hash,
    )
    .join(organizations, organizations.c.id == users.c.organization_id)
    .outerjoin(passwords, passwords.c.user_id == users.c.id)
)
_by_email = Statement(_candidates.where(users.c.email == bindparam("name")))
_by_full_name = Statement(
    _candidates.where(organizations.c.name == bindparam("organization"), users.c.name == bindparam("name"))
)
_by_name = Statement(_candidates.where(users.c.name == bindparam("name")).limit(2))
_hash_of_user = Statement(select(passwords.c.hash).where(passwords.c.user_id == bindparam("user_id")))
_set = Statement(
    insert(passwords),
    suffix="ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, must_change = excluded.must_change, "
    "set_at = excluded.set_at",
)
_rehash = Statement(
    update(passwords)
    .where(passwords.c.user_id == bindparam("its_user"), passwords.c.hash == bindparam("old_hash"))
    .values(hash=bindparam("new_hash"))
)
_remove = Statement(delete(passwords).where(passwords.c.user_id == bindparam("user_id")))


NOBODY = "(nobody)"
"""Whom the audit log names where nobody has the name that was tried: what people type there may be their password."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that is being tried. `wait`: seconds for which nothing is; `stored` None: there is no password."""

    user_id: str | None
    stored: str | None
    subject: str
    wait: int
    named: str = NOBODY
    organization_id: str = INSTALLATION


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """What others guess first of a password's owner, and the hash of the one that they have."""

    known: tuple[str | None, ...]
    stored: str | None


def begin_attempt(uow: UnitOfWork, name: str) -> Attempt:
    """Find who is meant by an e-mail address, `org.user`, or a user's name that is the only one; count the attempt.

    The same is done for a name that nobody has.
    """
    row = _who(uow, name)
    subject = subject_of(row.id if row else None, name)
    wait = count_attempt(uow, subject)
    if row is None:
        return Attempt(user_id=None, stored=None, subject=subject, wait=wait)
    return Attempt(
        user_id=row.id,
        stored=None if wait else row.hash,
        subject=subject,
        wait=wait,
        named=f"{row.organization}.{row.user_name}",
        organization_id=row.organization_id,
    )


def about(uow: UnitOfWork, user_id: str) -> Attempt:
    """An attempt of a user who is known, for `note_failure`."""
    user = get_user(uow, user_id)
    return Attempt(
        user_id=user_id,
        stored=None,
        subject=subject_of(user_id, ""),
        wait=0,
        named=f"{user.organization}.{user.name}",
        organization_id=user.organization_id,
    )


def note_failure(uow: UnitOfWork, attempt: Attempt, browser: Browser) -> None:
    """Write a failed attempt down, whether there is such a user or not."""
    who = attempt.user_id or ""
    name = urn(attempt.organization_id, None, "user", who)
    record_anonymous(
        uow, attempt.named, "session:new", name, attempt.organization_id, allowed=False, address=browser.address
    )


def finish_attempt(
    uow: UnitOfWork, attempt: Attempt, again: str | None, browser: Browser, settings: IdentitySettings
) -> Entry:
    """The password was right. `again` is its hash with other parameters, where those were changed.

    Raises Unauthenticated `wrong-password` when it was changed meanwhile.
    """
    assert attempt.user_id is not None
    if uow.scalar(_hash_of_user, user_id=attempt.user_id) != attempt.stored:
        raise wrong_password()
    if again is not None:
        uow.run(_rehash, its_user=attempt.user_id, old_hash=attempt.stored, new_hash=again)
    take_back(uow, attempt.subject)
    return signed_in(uow, attempt.user_id, "password", browser=browser, settings=settings)


def begin_check(uow: UnitOfWork, user_id: str) -> Attempt:
    """The same for somebody who is known and shows their password once more."""
    subject = subject_of(user_id, "")
    wait = count_attempt(uow, subject)
    stored = uow.scalar(_hash_of_user, user_id=user_id) if not wait else None
    return Attempt(user_id=user_id, stored=stored, subject=subject, wait=wait)


def end_check(uow: UnitOfWork, attempt: Attempt) -> None:
    """It was right."""
    take_back(uow, attempt.subject)


def find_by_name(uow: UnitOfWork, name: str) -> str | None:
    """The id of the user that is meant, as when they sign in."""
    row = _who(uow, name)
    return row.id if row is not None else None


def owner_of(uow: UnitOfWork, user_id: str) -> Owner:
    """What a password's strength is judged with."""
    user = get_user(uow, user_id)
    return Owner(
        known=(user.name, user.email, user.full_name, user.organization, "dais"),
        stored=uow.scalar(_hash_of_user, user_id=user_id),
    )


def has_password(uow: UnitOfWork, user_id: str) -> bool:
    """Whether the user can sign in with a password."""
    return uow.scalar(_hash_of_user, user_id=user_id) is not None


def change_own_password(
    uow: UnitOfWork, actor: Actor, old: str | None, new: str, browser: Browser, settings: IdentitySettings, strong: bool
) -> str:
    """Set the actor's own password, which was `old` (hashes); the secret of a new session: all others have ended.

    Raises Conflict `password-changed` when it is another one by now.
    """
    require(uow, actor, "user:set", organization_id=actor.organization_id, resource_id=actor.id)
    if uow.scalar(_hash_of_user, user_id=actor.id) != old:
        raise Conflict("the password has just been changed by somebody else; begin again", code="password-changed")
    _store(uow, actor.id, new, must_change=False)
    end_pending(uow, actor.id)
    return new_session(uow, actor.id, "password", browser, settings, strong=strong)


def set_password(uow: UnitOfWork, actor: Actor, user_id: str, new: str, *, must_change: bool = True) -> None:
    """Set somebody's password (a hash), which they must change when they sign in. Their sessions end.

    Raises Forbidden `beyond-own` when the user may do what the actor may not; Conflict `own-password` where the actor
    has one: who changes it shows the old one.
    """
    user = get_user(uow, user_id)
    require(uow, actor, "user:set", organization_id=user.organization_id, resource_id=user_id)
    require_over(uow, actor, user_id)
    if user_id == actor.id and has_password(uow, user_id):
        raise Conflict(
            "your own password you change in the pages, in the settings, where the old one is asked for",
            code="own-password",
        )
    _store(uow, user_id, new, must_change=must_change)
    end_pending(uow, user_id)


def set_pending_password(uow: UnitOfWork, secret: str, new: str, browser: Browser, settings: IdentitySettings) -> Entry:
    """Set the password that a pending sign-in wants. Raises Unauthenticated `no-sign-in`."""
    pending = find_pending(uow, secret, "password")
    _store(uow, pending.user_id, new, must_change=False)
    return go_on(uow, pending, browser=browser, settings=settings, password_set=True)


def first_password(uow: UnitOfWork, user_id: str, new: str, *, must_change: bool = False) -> None:
    """Give a user who has just been made a password. Permission is the caller's to have asked for."""
    _store(uow, user_id, new, must_change=must_change)


def remove_password(uow: UnitOfWork, user_id: str) -> None:
    """Take the password away. Permission is the caller's to have asked for."""
    uow.run(_remove, user_id=user_id)


def wrong_password() -> Unauthenticated:
    """The one answer to every sign-in that did not succeed."""
    return Unauthenticated("name and password do not belong together", code="wrong-password")


def _store(uow: UnitOfWork, user_id: str, new: str, *, must_change: bool) -> None:
    uow.run(_set, user_id=user_id, hash=new, must_change=int(must_change), set_at=uow.now)
    end_sessions(uow, user_id)
    end_links(uow, user_id)
    uow.emit(Event("password.set", "user", user_id, None, {"user_id": user_id}))


def _who(uow: UnitOfWork, name: str) -> Row | None:
    name = name.strip().lower()
    if "@" in name:
        return uow.one(_by_email, name=name)
    organization, dot, short = name.rpartition(".")
    if dot:
        return uow.one(_by_full_name, organization=organization, name=short)
    found = uow.all(_by_name, name=name)
    return found[0] if len(found) == 1 else None
