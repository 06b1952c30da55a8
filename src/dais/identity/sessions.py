"""Sessions: who is signed in with which browser.

A session is no bearer token: it is good for pages alone. It is 256 random bits, stored as their hash and found by it,
so that there is nothing to compare and nothing to guess. Sessions are made by `signing_in` only, always with a fresh
secret: what a browser held before it signed in is worth nothing afterwards.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import bindparam, delete, insert, select, update

from dais.identity.holders import actor_of, with_holder
from dais.identity.secrets import hash_of, random_digits
from dais.identity.settings import DEFAULTS, IdentitySettings
from dais.identity.tables import organizations, sessions
from dais.identity.types import Actor
from dais.kit.clock import SECOND, to_rfc3339
from dais.kit.database import Event, Row, Statement, UnitOfWork
from dais.kit.errors import Unauthenticated
from dais.kit.ids import new_id

MAX_SESSIONS = 100
"""Sessions that are listed, the last used ones."""
TOUCH_SECONDS = 60
"""When a session was last used is written down at most so often."""

_insert_session = Statement(insert(sessions))
_old_sessions = Statement(
    delete(sessions).where(
        (sessions.c.expires_at <= bindparam("now"))
        | (sessions.c.created_at <= bindparam("begun_since"))
        | (sessions.c.last_used_at <= bindparam("idle_since"))
    )
)
_session_query = with_holder(
    sessions,
    sessions.c.id.label("session_id"),
    sessions.c.created_at,
    sessions.c.last_used_at,
    sessions.c.expires_at,
    sessions.c.first_factor,
    sessions.c.strong,
    organizations.c.mfa_required,
)
_find_session = Statement(_session_query.where(sessions.c.hash == bindparam("hash")))
_session_by_id = Statement(_session_query.where(sessions.c.id == bindparam("id")))
_touch = Statement(
    update(sessions)
    .where(sessions.c.id == bindparam("session_id"), sessions.c.last_used_at < bindparam("now"))
    .values(last_used_at=bindparam("now"))
)
_end = Statement(
    delete(sessions).where(sessions.c.hash == bindparam("hash")).returning(sessions.c.id, sessions.c.user_id)
)
_of_user = Statement(
    select(sessions)
    .where(
        sessions.c.user_id == bindparam("user_id"),
        sessions.c.expires_at > bindparam("now"),
        sessions.c.created_at > bindparam("begun_since"),
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
_end_all = Statement(delete(sessions).where(sessions.c.user_id == bindparam("user_id")).returning(sessions.c.id))


class Browser(msgspec.Struct, frozen=True):
    """Where a sign-in comes from: an IP address, and what the browser says that it is."""

    address: str = ""
    agent: str = ""


NOWHERE = Browser()
"""Of a sign-in of which nobody said where it comes from."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that somebody is signed in with. `stale`: its use should be written down (`touch_session`).

    `first_factor` is what it began with; `strong`: there was a second factor.
    """

    id: str
    actor: Actor
    created_at: int
    expires_at: int
    stale: bool
    first_factor: str
    strong: bool


class OpenSession(msgspec.Struct, frozen=True, kw_only=True):
    """One of a user's sign-ins that have not ended. Instants are RFC 3339 text."""

    id: str
    created_at: str
    last_used_at: str
    expires_at: str
    address: str
    browser: str
    first_factor: str
    strong: bool


def new_session(
    uow: UnitOfWork, user_id: str, first_factor: str, browser: Browser, settings: IdentitySettings, *, strong: bool
) -> str:
    """Begin a session; its secret, which is told this once. `strong`: there was a second factor."""
    longest, idle = _limits(settings)
    uow.run(_old_sessions, now=uow.now, begun_since=uow.now - longest, idle_since=uow.now - idle)
    session_id, secret = new_id(), random_digits()
    uow.run(
        _insert_session,
        id=session_id,
        user_id=user_id,
        hash=hash_of(secret),
        created_at=uow.now,
        last_used_at=uow.now,
        expires_at=uow.now + longest,
        first_factor=first_factor,
        strong=int(strong),
        address=browser.address[:64],
        browser=_line(browser.agent),
    )
    uow.emit(Event("session.new", "session", session_id, None, {"user_id": user_id}))
    return secret


def find_session(uow: UnitOfWork, secret: str, settings: IdentitySettings = DEFAULTS) -> Session:
    """Who is signed in with this secret.

    Raises Unauthenticated `no-session`, `user-disabled`, or `second-factor-required` where the organization demands one
    and there was none.
    """
    return _session_of(uow, uow.one(_find_session, hash=hash_of(secret)), settings)


def session_of_id(uow: UnitOfWork, session_id: str, settings: IdentitySettings = DEFAULTS) -> Session:
    """Who is signed in in a session, for what was made from it and ends with it. Raises as `find_session` does."""
    return _session_of(uow, uow.one(_session_by_id, id=session_id), settings)


def _session_of(uow: UnitOfWork, row: Row | None, settings: IdentitySettings) -> Session:
    longest, idle = _limits(settings)
    if row is None or min(row.expires_at, row.created_at + longest) <= uow.now or row.last_used_at <= uow.now - idle:
        raise Unauthenticated("you are not signed in, or no longer", code="no-session")
    actor = actor_of(row)
    if row.mfa_required and not row.strong:
        raise Unauthenticated(
            f"{row.organization} wants a second factor: sign in again to set one up", code="second-factor-required"
        )
    stale = row.last_used_at <= uow.now - TOUCH_SECONDS * SECOND
    return Session(
        id=row.session_id,
        actor=actor,
        created_at=row.created_at,
        expires_at=row.expires_at,
        stale=stale,
        first_factor=row.first_factor,
        strong=bool(row.strong),
    )


def touch_session(uow: UnitOfWork, session_id: str) -> None:
    """Note that a session is used now."""
    uow.run(_touch, session_id=session_id, now=uow.now)


def end_session(uow: UnitOfWork, secret: str) -> None:
    """Sign out. A session that has ended already stays ended."""
    row = uow.one(_end, hash=hash_of(secret))
    if row is not None:
        uow.emit(Event("session.ended", "session", row.id, None, {"user_id": row.user_id}))


def list_sessions(uow: UnitOfWork, actor: Actor, settings: IdentitySettings = DEFAULTS) -> list[OpenSession]:
    """Where the actor is signed in, the last used first."""
    longest, idle = _limits(settings)
    since = {"begun_since": uow.now - longest, "idle_since": uow.now - idle}
    rows = uow.all(_of_user, user_id=actor.id, now=uow.now, **since)
    return [
        OpenSession(
            id=row.id,
            created_at=to_rfc3339(row.created_at),
            last_used_at=to_rfc3339(row.last_used_at),
            expires_at=to_rfc3339(min(row.expires_at, row.created_at + longest)),
            address=row.address,
            browser=row.browser,
            first_factor=row.first_factor,
            strong=bool(row.strong),
        )
        for row in rows
    ]


def end_own_session(uow: UnitOfWork, actor: Actor, session_id: str) -> None:
    """Sign one of the actor's browsers out. One that is not there, or somebody else's, stays as it is."""
    if uow.one(_end_own, session_id=session_id, user_id=actor.id) is not None:
        uow.emit(Event("session.ended", "session", session_id, None, {"user_id": actor.id}))


def rotate_session(
    uow: UnitOfWork, session: Session, browser: Browser, settings: IdentitySettings, *, strong: bool
) -> str:
    """Let a session go on under a fresh secret, which is returned: what it may do has changed."""
    end_own_session(uow, session.actor, session.id)
    return new_session(uow, session.actor.id, session.first_factor, browser, settings, strong=strong)


def end_sessions(uow: UnitOfWork, user_id: str) -> None:
    """Sign a user out everywhere."""
    for row in uow.all(_end_all, user_id=user_id):
        uow.emit(Event("session.ended", "session", row.id, None, {"user_id": user_id}))


def _limits(settings: IdentitySettings) -> tuple[int, int]:
    """The longest life of a session, and the longest without use, in µs."""
    return int(settings.session_hours * 3600) * SECOND, int(settings.session_idle_hours * 3600) * SECOND


def _line(text: str) -> str:
    return "".join(character for character in text if character.isprintable())[:200]
