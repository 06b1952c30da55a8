"""What tests of signing in share: passwords, a browser, a device that shows codes."""

from __future__ import annotations

import pyotp
import pytest

from dais.identity import (
    Actor,
    Browser,
    Entry,
    IdentitySettings,
    Session,
    SignInDesk,
    authenticate,
    begin_enrolment,
    create_token,
    find_session,
)
from dais.identity.signing_in.second_factors import confirm_enrolment
from dais.kit.clock import SECOND, ManualClock
from dais.kit.database import Database, UnitOfWork
from dais.kit.errors import TooMany, Unauthenticated
from dais.kit.vault import Vault

PASSWORD = "lantern otter violin"
OTHER = "granite whisper marmalade"
HERE = Browser("192.0.2.1", "Firefox/140")
QUICK = IdentitySettings(password_memory=8, password_passes=1)


def acting(database: Database, root: Actor, user_id: str) -> Actor:
    def token(uow: UnitOfWork) -> str:
        return create_token(uow, root, user_id=user_id).secret

    actor: Actor = database.read_sync(authenticate, database.write_sync(token)).actor
    return actor


def session(database: Database, entry: Entry) -> Session:
    assert entry.step == "session"
    found: Session = database.read_sync(find_session, entry.secret)
    return found


async def refusal(desk: SignInDesk, name: str, password: str, address: str = "192.0.2.1") -> tuple[str, int]:
    """The code of the refusal, and the seconds to wait."""
    with pytest.raises((Unauthenticated, TooMany)) as caught:
        await desk.by_password(name, password, Browser(address))
    return caught.value.code, caught.value.fields.get("retry_after", 0)


def code_at(secret: str, clock: ManualClock, *, seconds: int = 0) -> str:
    return str(pyotp.TOTP(secret).at(clock.now() // SECOND + seconds))


def with_device(database: Database, vault: Vault, user_id: str, clock: ManualClock) -> str:
    """Set a device up; its secret. Its first code is used."""
    secret: str = database.write_sync(begin_enrolment, vault, user_id).secret
    assert database.write_sync(confirm_enrolment, vault, user_id, code_at(secret, clock), "phone")
    clock.advance(30)
    return secret


def demand(database: Database) -> None:
    def on(uow: UnitOfWork) -> None:
        uow._connection.cursor().execute("UPDATE organizations SET mfa_required = 1")

    database.write_sync(on)
