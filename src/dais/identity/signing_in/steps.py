"""The way from a first factor to a session.

    first factor done ── second factor? ── one must be set up? ── new password? ── session

`signed_in` is called once somebody has shown a first factor, whatever it was. What is still needed is done in a pending
sign-in, which lasts ten minutes, opens nothing, and has a secret of its own; at its end there is a session with a fresh
one. Nothing is skipped: each step asks anew what is needed.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select, union_all, update

from dais.identity.audit import record
from dais.identity.holders import HOLDER, actor_of, require_enabled
from dais.identity.passkeys.tables import passkeys
from dais.identity.queries.users import get_user
from dais.identity.secrets import hash_of, random_digits
from dais.identity.sessions import Browser, new_session
from dais.identity.settings import IdentitySettings
from dais.identity.signing_in.failures import forget, subject_of
from dais.identity.signing_in.tables import authenticators, passwords, pending_sign_ins
from dais.identity.tables import organizations, users
from dais.identity.urns import urn
from dais.kit.clock import SECOND
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Unauthenticated
from dais.kit.ids import new_id

FirstFactor = Literal["password", "link", "reset", "invitation", "passkey", "oidc"]
"""How a sign-in began. `link`: a one-time link that a command made; `reset`: a mailed one, for a new password."""

Step = Literal["second-factor", "enrolment", "password", "session"]
"""What comes next."""

PENDING_SECONDS = 10 * 60
"""For how long a sign-in may stay unfinished."""

# What proves to be a user beside the password; another kind of second factor adds its table here.
_factors = Statement(
    union_all(
        select(func.count().label("number"))
        .select_from(authenticators)
        .where(authenticators.c.user_id == bindparam("user_id"), authenticators.c.confirmed_at.is_not(None)),
        select(func.count())
        .select_from(passkeys)
        .where(passkeys.c.user_id == bindparam("user_id"), passkeys.c.copied_at.is_(None)),
    )
)
_standing = Statement(
    select(*HOLDER, organizations.c.mfa_required, passwords.c.must_change)
    .select_from(users)
    .join(organizations, organizations.c.id == users.c.organization_id)
    .outerjoin(passwords, passwords.c.user_id == users.c.id)
    .where(users.c.id == bindparam("id"))
)
_insert = Statement(insert(pending_sign_ins))
_old = Statement(delete(pending_sign_ins).where(pending_sign_ins.c.expires_at <= bindparam("now")))
_find = Statement(select(pending_sign_ins).where(pending_sign_ins.c.hash == bindparam("hash")))
_go_on = Statement(
    update(pending_sign_ins)
    .where(pending_sign_ins.c.id == bindparam("pending_id"), pending_sign_ins.c.hash == bindparam("old_hash"))
    .values(strong=bindparam("now_strong"), new_password=bindparam("still_new"), hash=bindparam("new_hash"))
)
_end = Statement(
    delete(pending_sign_ins).where(
        pending_sign_ins.c.id == bindparam("pending_id"), pending_sign_ins.c.hash == bindparam("old_hash")
    )
)
_end_all = Statement(delete(pending_sign_ins).where(pending_sign_ins.c.user_id == bindparam("user_id")))


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What comes next, and the secret that the browser gets for it: of the session, else of the pending sign-in."""

    step: Step
    secret: str
    user_id: str


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that is not finished. `user` is the full name `org.user`."""

    id: str
    secret: str
    user_id: str
    user: str
    first_factor: FirstFactor
    strong: bool
    new_password: bool
    step: Step


def next_step(*, strong: bool, has_factor: bool, mfa_required: bool, new_password: bool) -> Step:
    """What is still needed. The new password comes after the second factor: whoever reads mail cannot set it alone."""
    if not strong and has_factor:
        return "second-factor"
    if not strong and mfa_required:
        return "enrolment"
    return "password" if new_password else "session"


def signed_in(
    uow: UnitOfWork,
    user_id: str,
    by: FirstFactor,
    *,
    browser: Browser,
    settings: IdentitySettings,
    strong: bool = False,
) -> Entry:
    """Somebody has shown a first factor of the user. `strong`: it was as good as two (a passkey that knows its owner).

    Raises Unauthenticated `user-disabled`.
    """
    standing = _standing_of(uow, user_id)
    new_password = by == "reset" or (by == "password" and bool(standing.must_change))
    pending = Pending(
        id=new_id(),
        secret=random_digits(),
        user_id=user_id,
        user=f"{standing.organization}.{standing.name}",
        first_factor=by,
        strong=strong,
        new_password=new_password,
        step=_step(uow, user_id, standing, strong=strong, new_password=new_password),
    )
    if pending.step == "session":
        return _enter(uow, pending, standing, browser, settings)
    uow.run(_old, now=uow.now)
    uow.run(
        _insert,
        id=pending.id,
        user_id=user_id,
        hash=hash_of(pending.secret),
        first_factor=by,
        strong=int(strong),
        new_password=int(new_password),
        created_at=uow.now,
        expires_at=uow.now + PENDING_SECONDS * SECOND,
    )
    return Entry(step=pending.step, secret=pending.secret, user_id=user_id)


def find_pending(uow: UnitOfWork, secret: str, step: Step | None = None) -> Pending:
    """The sign-in of a secret, at that step where one is named. Raises Unauthenticated `no-sign-in`."""
    row = uow.one(_find, hash=hash_of(secret))
    if row is None or row.expires_at <= uow.now:
        raise _begin_again()
    standing = _standing_of(uow, row.user_id)
    found = Pending(
        id=row.id,
        secret=secret,
        user_id=row.user_id,
        user=f"{standing.organization}.{standing.name}",
        first_factor=row.first_factor,
        strong=bool(row.strong),
        new_password=bool(row.new_password),
        step=_step(uow, row.user_id, standing, strong=bool(row.strong), new_password=bool(row.new_password)),
    )
    if step is not None and found.step != step:
        raise _begin_again()
    return found


def go_on(
    uow: UnitOfWork,
    pending: Pending,
    *,
    browser: Browser,
    settings: IdentitySettings,
    strong: bool = False,
    password_set: bool = False,
) -> Entry:
    """A step of a pending sign-in is done: a second factor was shown, or set up (`strong`), or a new password set.

    Of two that finish the same sign-in at the same time one gets on. Raises Unauthenticated `no-sign-in`.
    """
    standing = _standing_of(uow, pending.user_id)
    strong = pending.strong or strong
    new_password = pending.new_password and not password_set
    step = _step(uow, pending.user_id, standing, strong=strong, new_password=new_password)
    old = hash_of(pending.secret)
    if step == "session":
        if not uow.run(_end, pending_id=pending.id, old_hash=old):
            raise _begin_again()
        return _enter(uow, msgspec.structs.replace(pending, strong=strong), standing, browser, settings)
    secret = random_digits()
    values = {"now_strong": int(strong), "still_new": int(new_password), "new_hash": hash_of(secret)}
    if not uow.run(_go_on, pending_id=pending.id, old_hash=old, **values):
        raise _begin_again()
    return Entry(step=step, secret=secret, user_id=pending.user_id)


def has_second_factor(uow: UnitOfWork, user_id: str) -> bool:
    """Whether the user has set any second factor up."""
    return any(row.number for row in uow.all(_factors, user_id=user_id))


def end_pending(uow: UnitOfWork, user_id: str) -> None:
    """Let no unfinished sign-in of the user go on."""
    uow.run(_end_all, user_id=user_id)


def _step(uow: UnitOfWork, user_id: str, standing: Row, *, strong: bool, new_password: bool) -> Step:
    return next_step(
        strong=strong,
        has_factor=has_second_factor(uow, user_id),
        mfa_required=bool(standing.mfa_required),
        new_password=new_password,
    )


def _enter(uow: UnitOfWork, pending: Pending, standing: Row, browser: Browser, settings: IdentitySettings) -> Entry:
    secret = new_session(uow, pending.user_id, pending.first_factor, browser, settings, strong=pending.strong)
    forget(uow, subject_of(pending.user_id, ""))
    actor = msgspec.structs.replace(actor_of(standing), address=browser.address[:64])
    name = urn(standing.organization_id, None, "user", pending.user_id)
    detail = msgspec.json.encode({"by": pending.first_factor, "second_factor": pending.strong}).decode()
    record(uow, actor, "session:new", name, standing.organization_id, allowed=True, detail=detail)
    return Entry(step="session", secret=secret, user_id=pending.user_id)


def _standing_of(uow: UnitOfWork, user_id: str) -> Row:
    row = uow.one(_standing, id=user_id)
    if row is None:
        get_user(uow, user_id)  # says that there is none
    assert row is not None
    require_enabled(row)
    return row


def _begin_again() -> Unauthenticated:
    return Unauthenticated("this sign-in took too long, or is another's; begin again", code="no-sign-in")
