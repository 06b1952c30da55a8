"""How a person gets into the pages: a one-time link made by a command, redeemed for a session in a browser.

Neither is a bearer token: the link is good for one sign-in within fifteen minutes, the session only for pages. Both
are 256 random bits, stored as their hash and found by it, so that there is nothing to compare and nothing to guess.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import bindparam, delete, insert, select, update

from dais.identity.secrets import hash_of, random_digits
from dais.identity.tables import organizations, sessions, sign_in_links, tokens, users
from dais.identity.types import Actor
from dais.kit.clock import SECOND, to_rfc3339
from dais.kit.database import Event, Statement, UnitOfWork
from dais.kit.errors import Forbidden, Unauthenticated
from dais.kit.ids import new_id

SIGN_IN_LINK_SECONDS = 15 * 60
"""For how long a sign-in link is good."""
IDLE_SECONDS = 7 * 86_400
"""A session that no page was asked with for so long has ended."""
SESSION_SECONDS = 30 * 86_400
"""The longest life of a session."""
MAX_SESSIONS = 100
"""Sessions that are listed, the last used ones."""
TOUCH_SECONDS = 60
"""When a session was last used is written down at most so often."""

_person_columns = (
    users.c.id.label("user_id"),
    users.c.number,
    users.c.name,
    users.c.organization_id,
    organizations.c.name.label("organization"),
    users.c.account_id,
    users.c.administrator_at,
    users.c.disabled_at,
)
_insert_link = Statement(insert(sign_in_links))
_old_links = Statement(delete(sign_in_links).where(sign_in_links.c.expires_at <= bindparam("now")))
_take_link = Statement(
    update(sign_in_links)
    .where(
        sign_in_links.c.hash == bindparam("secret_hash"),
        sign_in_links.c.used_at.is_(None),
        sign_in_links.c.expires_at > bindparam("now"),
    )
    .values(used_at=bindparam("now"))
    .returning(sign_in_links.c.user_id)
)
_link = Statement(
    select(sign_in_links.c.used_at, sign_in_links.c.expires_at).where(sign_in_links.c.hash == bindparam("hash"))
)
_user_state = Statement(select(users.c.disabled_at).where(users.c.id == bindparam("id")))
_token_kind = Statement(select(tokens.c.kind).where(tokens.c.id == bindparam("id")))
_insert_session = Statement(insert(sessions))
_old_sessions = Statement(
    delete(sessions).where(
        (sessions.c.expires_at <= bindparam("now")) | (sessions.c.last_used_at <= bindparam("idle_since"))
    )
)
_find_session = Statement(
    select(sessions.c.id.label("session_id"), sessions.c.last_used_at, sessions.c.expires_at, *_person_columns)
    .select_from(sessions)
    .join(users, users.c.id == sessions.c.user_id)
    .join(organizations, organizations.c.id == users.c.organization_id)
    .where(sessions.c.hash == bindparam("hash"))
)
_touch = Statement(
    update(sessions)
    .where(sessions.c.id == bindparam("session_id"), sessions.c.last_used_at < bindparam("now"))
    .values(last_used_at=bindparam("now"))
)
_end = Statement(
    delete(sessions).where(sessions.c.hash == bindparam("hash")).returning(sessions.c.id, sessions.c.user_id)
)
_of_user = Statement(
    select(sessions.c.id, sessions.c.created_at, sessions.c.last_used_at, sessions.c.expires_at)
    .where(
        sessions.c.user_id == bindparam("user_id"),
        sessions.c.expires_at > bindparam("now"),
        sessions.c.last_used_at > bindparam("idle_since"),
    )
    .order_by(sessions.c.last_used_at.desc())
    .limit(MAX_SESSIONS)
)
_end_own = Statement(
    delete(sessions)
    .where(sessions.c.id == bindparam("session_id"), sessions.c.user_id == bindparam("user_id"))
    .returning(sessions.c.id)
)


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that somebody is signed in with. `stale`: its use should be written down (`touch_session`)."""

    id: str
    actor: Actor
    expires_at: int
    stale: bool


class OpenSession(msgspec.Struct, frozen=True, kw_only=True):
    """One of a user's sign-ins that have not ended. Instants are RFC 3339 text."""

    id: str
    created_at: str
    last_used_at: str
    expires_at: str


def create_sign_in_link(uow: UnitOfWork, user_id: str) -> str:
    """Make a link's secret for a user; it is told this once. Permission is the caller's to have asked for."""
    uow.run(_old_links, now=uow.now)
    secret = random_digits()
    uow.run(
        _insert_link,
        id=new_id(),
        user_id=user_id,
        hash=hash_of(secret),
        created_at=uow.now,
        expires_at=uow.now + SIGN_IN_LINK_SECONDS * SECOND,
        used_at=None,
    )
    return secret


def own_sign_in_link(uow: UnitOfWork, actor: Actor) -> str:
    """Make a link's secret for the actor. Raises Forbidden `wrong-token-kind`, `narrowed-token`.

    A session may do all that its user may; who comes with a narrowed token, or as a role, may not get one.
    """
    kind = "user" if actor.token_id is None else uow.scalar(_token_kind, id=actor.token_id)
    if kind != "user":
        raise Forbidden(
            f"a token of kind {kind!r} cannot open the pages; use the token of a user", code="wrong-token-kind"
        )
    if actor.narrowed is not None:
        raise Forbidden(
            "a token that is narrowed cannot open the pages: a session would not be; use a whole token of yours",
            code="narrowed-token",
        )
    return create_sign_in_link(uow, actor.id)


def check_sign_in_link(uow: UnitOfWork, secret: str) -> None:
    """Return while the link is still good, without using it up. Raises Unauthenticated `bad-sign-in-link`."""
    row = uow.one(_link, hash=hash_of(secret))
    if row is None or row.used_at is not None or row.expires_at <= uow.now:
        raise _bad_link()


def redeem_sign_in_link(uow: UnitOfWork, secret: str) -> str:
    """Use a link up; the secret of the session that it made. Raises Unauthenticated `bad-sign-in-link`.

    Of two that redeem the same link at the same time one gets the session.
    """
    taken = uow.one(_take_link, secret_hash=hash_of(secret), now=uow.now)
    if taken is None or uow.scalar(_user_state, id=taken.user_id) is not None:
        raise _bad_link()
    uow.run(_old_sessions, now=uow.now, idle_since=uow.now - IDLE_SECONDS * SECOND)
    session_id, session = new_id(), random_digits()
    uow.run(
        _insert_session,
        id=session_id,
        user_id=taken.user_id,
        hash=hash_of(session),
        created_at=uow.now,
        last_used_at=uow.now,
        expires_at=uow.now + SESSION_SECONDS * SECOND,
    )
    uow.emit(Event("session.new", "session", session_id, None, {"user_id": taken.user_id}))
    return session


def find_session(uow: UnitOfWork, secret: str) -> Session:
    """Who is signed in with this secret. Raises Unauthenticated `no-session` or `user-disabled`."""
    row = uow.one(_find_session, hash=hash_of(secret))
    if row is None or row.expires_at <= uow.now or row.last_used_at <= uow.now - IDLE_SECONDS * SECOND:
        raise Unauthenticated("you are not signed in, or no longer: `dais open` lets you in", code="no-session")
    if row.disabled_at is not None:
        raise Unauthenticated(f"the user {row.name} is disabled; ask an administrator", code="user-disabled")
    actor = Actor(
        id=row.user_id,
        number=row.number,
        name=row.name,
        organization_id=row.organization_id,
        organization=row.organization,
        account_id=row.account_id,
        administrator=row.administrator_at is not None,
    )
    stale = row.last_used_at <= uow.now - TOUCH_SECONDS * SECOND
    return Session(id=row.session_id, actor=actor, expires_at=row.expires_at, stale=stale)


def touch_session(uow: UnitOfWork, session_id: str) -> None:
    """Note that a session is used now."""
    uow.run(_touch, session_id=session_id, now=uow.now)


def end_session(uow: UnitOfWork, secret: str) -> None:
    """Sign out. A session that has ended already stays ended."""
    row = uow.one(_end, hash=hash_of(secret))
    if row is not None:
        uow.emit(Event("session.ended", "session", row.id, None, {"user_id": row.user_id}))


def list_sessions(uow: UnitOfWork, actor: Actor) -> list[OpenSession]:
    """Where the actor is signed in, the last used first."""
    rows = uow.all(_of_user, user_id=actor.id, now=uow.now, idle_since=uow.now - IDLE_SECONDS * SECOND)
    return [
        OpenSession(
            id=row.id,
            created_at=to_rfc3339(row.created_at),
            last_used_at=to_rfc3339(row.last_used_at),
            expires_at=to_rfc3339(row.expires_at),
        )
        for row in rows
    ]


def end_own_session(uow: UnitOfWork, actor: Actor, session_id: str) -> None:
    """Sign one of the actor's browsers out. One that is not there, or somebody else's, stays as it is."""
    if uow.one(_end_own, session_id=session_id, user_id=actor.id) is not None:
        uow.emit(Event("session.ended", "session", session_id, None, {"user_id": actor.id}))


def _bad_link() -> Unauthenticated:
    return Unauthenticated(
        "this sign-in link has been used, has expired or is not complete; `dais open` makes another",
        code="bad-sign-in-link",
    )
