"""The hand-over: from a session of Dais's own origin to a cookie of one app's origin.

A browser that comes to an app without a cookie is sent to Dais with a random state that it keeps in a cookie; Dais
makes a ticket for the session, the job and that state; the app's origin takes the ticket for a cookie. A ticket is good
once, for a minute, in the browser that began. The cookie is a text with our signature: which job, which session, until
when; it opens nothing once that session has ended.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets

import msgspec
from sqlalchemy import bindparam, delete, insert

from dais.kit.clock import SECOND
from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import Forbidden
from dais.kit.vault import Vault
from dais.proxy.tables import app_tickets

TICKET_SECONDS = 60
COOKIE_SECONDS = 7 * 86_400
"""After so long a browser fetches another cookie, without anybody noticing."""
_context = "app-cookie"

_insert = Statement(insert(app_tickets))
_old = Statement(delete(app_tickets).where(app_tickets.c.expires_at <= bindparam("now")))
_take = Statement(
    delete(app_tickets)
    .where(app_tickets.c.hash == bindparam("secret_hash"), app_tickets.c.expires_at > bindparam("now"))
    .returning(app_tickets.c.job_id, app_tickets.c.session_id, app_tickets.c.state)
)


class Seal(msgspec.Struct, frozen=True, array_like=True):
    """What a cookie says. `until` is in µs since the epoch."""

    job_id: str
    session_id: str
    until: int


def new_ticket(uow: UnitOfWork, job_id: str, session_id: str, state: str) -> str:
    """A ticket's secret. Permission is the caller's to have asked for."""
    uow.run(_old, now=uow.now)
    secret = secrets.token_urlsafe(32)
    uow.run(
        _insert,
        hash=_hash(secret),
        job_id=job_id,
        session_id=session_id,
        state=_hash(state),
        expires_at=uow.now + TICKET_SECONDS * SECOND,
    )
    return secret


def take_ticket(uow: UnitOfWork, secret: str, states: list[str]) -> Seal:
    """Use a ticket up. Raises Forbidden `bad-ticket`, also when it was made for another browser."""
    row = uow.one(_take, secret_hash=_hash(secret), now=uow.now)
    if row is None or row.state not in {_hash(state) for state in states}:
        raise Forbidden(
            "this way in has been used, has expired, or began in another browser; open the app again from Dais",
            code="bad-ticket",
        )
    return Seal(row.job_id, row.session_id, uow.now + COOKIE_SECONDS * SECOND)


def write_seal(vault: Vault, seal: Seal) -> str:
    """The cookie's value."""
    body = base64.urlsafe_b64encode(msgspec.json.encode(seal)).decode().rstrip("=")
    return f"{body}.{vault.sign(body.encode(), _context)}"


def read_seal(vault: Vault, value: str, now: int) -> Seal | None:
    """What a cookie's value says, if it is ours and still good."""
    body, _, code = value.partition(".")
    try:
        if len(value) > 512 or not vault.has_signed(body.encode(), code, _context):
            return None
        seal = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=Seal)
    except (binascii.Error, ValueError):
        return None
    return seal if seal.until > now else None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
