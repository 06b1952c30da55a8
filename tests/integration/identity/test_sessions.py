"""Sign-in links and sessions: used once, for a while, by whom they are for."""

from __future__ import annotations

import pytest

from dais.identity import (
    DEFAULT_SETTINGS,
    SIGN_IN_LINK_SECONDS,
    Actor,
    authenticate,
    bootstrap,
    check_sign_in_link,
    create_sign_in_link,
    create_token,
    end_session,
    find_session,
    own_sign_in_link,
    redeem_sign_in_link,
    touch_session,
)
from dais.identity.sessions import TOUCH_SECONDS
from dais.kit.clock import ManualClock
from dais.kit.database import Database, UnitOfWork
from dais.kit.errors import Forbidden, Unauthenticated

SESSION_SECONDS = int(DEFAULT_SETTINGS.session_hours * 3600)
IDLE_SECONDS = int(DEFAULT_SETTINGS.session_idle_hours * 3600)


@pytest.fixture
def joe(database: Database) -> Actor:
    made = database.write_sync(bootstrap, "joe")
    assert made is not None
    actor: Actor = database.read_sync(authenticate, made.token.secret).actor
    return actor


def sign_in(database: Database, actor: Actor) -> str:
    secret: str = database.write_sync(redeem_sign_in_link, database.write_sync(create_sign_in_link, actor.id)).secret
    return secret


def refused(database: Database, secret: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        database.read_sync(find_session, secret)
    return caught.value.code


def test_a_link_makes_one_session(database: Database, joe: Actor) -> None:
    link = database.write_sync(create_sign_in_link, joe.id)
    database.read_sync(check_sign_in_link, link)
    database.read_sync(check_sign_in_link, link)
    session = database.read_sync(find_session, database.write_sync(redeem_sign_in_link, link).secret)
    assert (session.actor.id, session.actor.administrator, session.actor.token_id) == (joe.id, True, None)
    for use in (redeem_sign_in_link, check_sign_in_link):
        with pytest.raises(Unauthenticated, match="dais open") as caught:
            database.write_sync(use, link)
        assert caught.value.code == "bad-sign-in-link"


def test_a_link_expires(database: Database, joe: Actor, clock: ManualClock) -> None:
    link = database.write_sync(create_sign_in_link, joe.id)
    clock.advance(SIGN_IN_LINK_SECONDS)
    with pytest.raises(Unauthenticated):
        database.write_sync(redeem_sign_in_link, link)


def test_a_made_up_link_is_refused(database: Database, joe: Actor) -> None:
    for secret in ("", "x", "0" * 43, sign_in(database, joe)):
        with pytest.raises(Unauthenticated):
            database.write_sync(redeem_sign_in_link, secret)


def test_a_link_is_no_session_and_a_session_no_link(database: Database, joe: Actor) -> None:
    assert refused(database, database.write_sync(create_sign_in_link, joe.id)) == "no-session"


def test_secrets_are_stored_as_hashes(database: Database, joe: Actor) -> None:
    link = database.write_sync(create_sign_in_link, joe.id)
    session = database.write_sync(redeem_sign_in_link, link).secret

    def stored(uow: UnitOfWork) -> str:
        cursor = uow._connection.cursor()
        cursor.execute("SELECT hash FROM sign_in_links UNION ALL SELECT hash FROM sessions")
        return str(cursor.fetchall())

    found = database.read_sync(stored)
    assert link not in found
    assert session not in found
    assert len(found) > 128


def test_a_session_ends_when_it_is_not_used(database: Database, joe: Actor, clock: ManualClock) -> None:
    secret = sign_in(database, joe)
    clock.advance(IDLE_SECONDS - 1)
    session = database.read_sync(find_session, secret)
    assert session.stale
    database.write_sync(touch_session, session.id)
    assert not database.read_sync(find_session, secret).stale
    clock.advance(TOUCH_SECONDS)
    assert database.read_sync(find_session, secret).stale
    clock.advance(IDLE_SECONDS - TOUCH_SECONDS)
    assert refused(database, secret) == "no-session"


def test_a_session_ends_however_much_it_is_used(database: Database, joe: Actor, clock: ManualClock) -> None:
    secret = sign_in(database, joe)
    for _ in range(SESSION_SECONDS // (IDLE_SECONDS - 1)):
        clock.advance(IDLE_SECONDS - 1)
        database.write_sync(touch_session, database.read_sync(find_session, secret).id)
    clock.advance(IDLE_SECONDS - 1)
    assert refused(database, secret) == "no-session"


def test_signing_out_ends_it_at_once_and_twice_is_once(database: Database, joe: Actor) -> None:
    secret, other = sign_in(database, joe), sign_in(database, joe)
    database.write_sync(end_session, secret)
    database.write_sync(end_session, secret)
    assert refused(database, secret) == "no-session"
    assert database.read_sync(find_session, other).actor.id == joe.id


def test_a_disabled_user_neither_comes_in_nor_stays(database: Database, joe: Actor) -> None:
    secret, link = sign_in(database, joe), database.write_sync(create_sign_in_link, joe.id)

    def disable(uow: UnitOfWork) -> None:
        uow._connection.cursor().execute("UPDATE users SET disabled_at = 1")

    database.write_sync(disable)
    assert refused(database, secret) == "user-disabled"
    with pytest.raises(Unauthenticated):
        database.write_sync(redeem_sign_in_link, link)


def test_the_token_of_a_job_opens_no_pages(database: Database, joe: Actor) -> None:
    assert database.write_sync(own_sign_in_link, joe)
    token = database.write_sync(create_token, joe, kind="job")
    actor = database.read_sync(authenticate, token.secret).actor
    with pytest.raises(Forbidden) as caught:
        database.write_sync(own_sign_in_link, actor)
    assert caught.value.code == "wrong-token-kind"


def test_a_narrowed_token_opens_no_pages(database: Database, joe: Actor) -> None:
    token = database.write_sync(create_token, joe, narrowed=["*@*"])
    actor = database.read_sync(authenticate, token.secret).actor
    with pytest.raises(Forbidden) as caught:
        database.write_sync(own_sign_in_link, actor)
    assert caught.value.code == "narrowed-token"
