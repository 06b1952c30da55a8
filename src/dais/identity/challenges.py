"""What a browser must bring back: a secret that it keeps in a cookie while it is elsewhere, good once, for ten minutes.

Whatever has to be bound to the browser is derived from that secret: a state, a nonce, a verifier, a passkey's
challenge. So only the browser that began can end it, and of the secret the database has the hash.
"""

from __future__ import annotations

import base64
import hashlib

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select

from dais.identity.secrets import hash_of, random_digits
from dais.identity.tables import browser_challenges
from dais.kit.clock import SECOND
from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import TooMany, Unauthenticated

CHALLENGE_SECONDS = 600
MOST_CHALLENGES = 10_000
"""Challenges that are open at a time."""

_insert = Statement(insert(browser_challenges))
_old = Statement(delete(browser_challenges).where(browser_challenges.c.expires_at <= bindparam("now")))
_number = Statement(select(func.count()).select_from(browser_challenges))
_take = Statement(
    delete(browser_challenges)
    .where(browser_challenges.c.hash == bindparam("secret_hash"), browser_challenges.c.purpose == bindparam("is_for"))
    .returning(browser_challenges.c.subject, browser_challenges.c.back, browser_challenges.c.expires_at)
)


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """One that a browser has brought back. `subject` is what it was made for; `back` the page to go on with."""

    secret: str
    subject: str
    back: str

    def derived(self, what: str) -> str:
        return derived(self.secret, what)


def new_challenge(uow: UnitOfWork, purpose: str, subject: str, back: str = "/") -> str:
    """Make one; the secret that the browser keeps. Raises TooMany `too-many-logins`."""
    uow.run(_old, now=uow.now)
    if uow.scalar(_number) >= MOST_CHALLENGES:
        raise TooMany(
            "too many people sign in at this moment; try again in a minute", code="too-many-logins", retry_after=60
        )
    secret = random_digits()
    uow.run(
        _insert,
        hash=hash_of(secret),
        purpose=purpose,
        subject=subject,
        back=back[:1024],
        expires_at=uow.now + CHALLENGE_SECONDS * SECOND,
    )
    return secret


def take_challenge(uow: UnitOfWork, purpose: str, secret: str) -> Challenge | None:
    """Use one up; None when there is none: unknown, for something else, used, or too old.

    It does not raise, for then it would not be used up.
    """
    row = uow.one(_take, secret_hash=hash_of(secret), is_for=purpose) if secret else None
    if row is None or row.expires_at <= uow.now:
        return None
    return Challenge(secret=secret, subject=row.subject, back=row.back)


def lost_challenge() -> Unauthenticated:
    """What is said to a browser that brings nothing good back."""
    return Unauthenticated(
        "this sign-in was not begun in this browser, is used already or took longer than ten minutes; begin again",
        code="no-challenge",
    )


def derived(secret: str, what: str) -> str:
    """43 characters that only who knows the secret can tell, different for each `what`."""
    digest = hashlib.sha256(f"dais-challenge\0{what}\0{secret}".encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
