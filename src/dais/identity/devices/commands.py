"""The way of a machine to its token: it begins, a person looks at it and decides, it asks until it is told.

A code is good for ten minutes and for one decision, and its token is handed out once. The code that people type has
34 random bits: only who is signed in may try one, few in a minute, and finding one gains nothing but another's machine
that is signed in as oneself.
"""

from __future__ import annotations

import re
import secrets
from typing import Literal

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select, update

from dais.identity.commands.tokens import new_token
from dais.identity.devices.tables import device_logins
from dais.identity.queries.users import get_user
from dais.identity.rules import require
from dais.identity.secrets import hash_of, random_digits
from dais.identity.types import Actor, NewToken, User
from dais.kit.clock import SECOND
from dais.kit.database import Event, Row, Statement, UnitOfWork
from dais.kit.errors import Conflict, NotFound, TooMany
from dais.kit.ids import new_id

CODE_SECONDS = 600
"""For how long a code is good."""
INTERVAL_SECONDS = 5
"""How long a machine waits between two questions; each one that comes too early adds as much."""
MOST_WAITING = 1_000
"""Machines that wait at a time."""
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""What codes are made of: no vowels, so that they spell no words, and nothing that looks like a digit."""
CODE_LETTERS = 8

_not_in_codes = re.compile(r"[^A-Z0-9]")
_insert = Statement(insert(device_logins))
_old = Statement(delete(device_logins).where(device_logins.c.expires_at <= bindparam("now")))
_waiting = Statement(select(func.count()).select_from(device_logins))
_by_code = Statement(select(device_logins).where(device_logins.c.user_hash == bindparam("user_hash")))
_by_device = Statement(select(device_logins).where(device_logins.c.device_hash == bindparam("device_hash")))
_decide = Statement(
    update(device_logins)
    .where(device_logins.c.id == bindparam("login_id"), device_logins.c.user_id.is_(None))
    .values(user_id=bindparam("decided_by"), allowed=bindparam("is_allowed"))
)
_polled = Statement(
    update(device_logins)
    .where(device_logins.c.id == bindparam("login_id"))
    .values(polled_at=bindparam("now"), interval=bindparam("seconds"))
)
_take = Statement(delete(device_logins).where(device_logins.c.id == bindparam("login_id")))


class BegunLogin(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine is told. `device_code` is its secret; `user_code` is what it shows."""

    device_code: str
    user_code: str
    expires_in: int = CODE_SECONDS
    interval: int = INTERVAL_SECONDS


class DeviceLogin(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that waits, as the person sees it who decides. Instants are µs."""

    id: str
    code: str
    machine: str
    client: str
    address: str
    created_at: int
    expires_at: int


class Polled(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine hears: to wait `interval` seconds and ask again, that it was in vain, or its token."""

    state: Literal["pending", "slow-down", "denied", "expired", "granted"]
    interval: int = INTERVAL_SECONDS
    token: NewToken | None = None
    user: User | None = None


def begin_device_login(uow: UnitOfWork, machine: str, client: str, address: str) -> BegunLogin:
    """A machine wants to be signed in; whoever it is. Raises TooMany `too-many-logins`.

    `machine` and `client` are what it says of itself, and shown to the person; `address` is where it asks from.
    """
    uow.run(_old, now=uow.now)
    if uow.scalar(_waiting) >= MOST_WAITING:
        raise TooMany(
            f"{MOST_WAITING:,} machines wait to be signed in, which is the limit; come back in a few minutes",
            code="too-many-logins",
            limit=MOST_WAITING,
            retry_after=60,
        )
    device_code = random_digits()
    user_code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LETTERS))
    uow.run(
        _insert,
        id=new_id(),
        device_hash=hash_of(device_code),
        user_hash=hash_of(user_code),
        machine=one_line(machine, 128) or "a machine without a name",
        client=one_line(client, 64) or "an unknown program",
        address=address[:64],
        created_at=uow.now,
        expires_at=uow.now + CODE_SECONDS * SECOND,
        polled_at=None,
        interval=INTERVAL_SECONDS,
        user_id=None,
        allowed=0,
    )
    return BegunLogin(device_code=device_code, user_code=shown_code(user_code))


def find_device_login(uow: UnitOfWork, actor: Actor, code: str) -> DeviceLogin:
    """The machine that shows a code. Raises NotFound `no-such-code`, also for one that expired or was decided on."""
    row = _living(uow, code)
    return DeviceLogin(
        id=row.id,
        code=shown_code(_plain(code)),
        machine=row.machine,
        client=row.client,
        address=row.address,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def decide_device_login(uow: UnitOfWork, actor: Actor, code: str, allowed: bool) -> None:
    """Let the machine that shows a code act as the actor, or not. Once; raises NotFound `no-such-code`."""
    row = _living(uow, code)
    if allowed:
        require(uow, actor, "token:new", organization_id=actor.organization_id, holder=("user", actor.id))
    if not uow.run(_decide, login_id=row.id, decided_by=actor.id, is_allowed=int(allowed)):
        raise Conflict("this machine has been decided on already", code="code-used")
    kind = "device-login.allowed" if allowed else "device-login.denied"
    uow.emit(Event(kind, "user", actor.id, None, {"machine": row.machine, "address": row.address}))


def poll_device_login(uow: UnitOfWork, device_code: str, days: float) -> Polled:
    """What has become of a machine's sign-in. Its token, which holds for `days`, is handed out once."""
    row = uow.one(_by_device, device_hash=hash_of(device_code))
    if row is None or row.expires_at <= uow.now:
        return Polled(state="expired")
    if row.user_id is None:
        early = row.polled_at is not None and uow.now < row.polled_at + row.interval * SECOND
        interval = min(row.interval + INTERVAL_SECONDS, 60) if early else row.interval
        uow.run(_polled, login_id=row.id, now=uow.now, seconds=interval)
        return Polled(state="slow-down" if early else "pending", interval=interval)
    user = get_user(uow, row.user_id)
    if not uow.run(_take, login_id=row.id):
        return Polled(state="expired")
    if not row.allowed or user.disabled:
        return Polled(state="denied")
    expires_at = uow.now + round(days * 86_400 * SECOND)
    token = new_token(uow, user.id, "user", row.machine, expires_at)
    return Polled(state="granted", token=token, user=user)


def shown_code(code: str) -> str:
    """A code as people read it: `WDJB-MJHT`."""
    return f"{code[:4]}-{code[4:]}"


def one_line(text: str, most: int) -> str:
    """What a stranger says of itself, fit to be shown: one line, nothing that steers anything, at most so long."""
    return "".join(c if c.isprintable() else " " for c in text).strip()[:most]


def _plain(code: str) -> str:
    return _not_in_codes.sub("", code.upper())


def _living(uow: UnitOfWork, code: str) -> Row:
    plain = _plain(code)
    row = uow.one(_by_code, user_hash=hash_of(plain)) if len(plain) == CODE_LETTERS else None
    if row is None or row.expires_at <= uow.now or row.user_id is not None:
        raise NotFound(
            f"no machine waits with the code {one_line(code, 20)!r}: it was mistyped, used, or is older than "
            f"{CODE_SECONDS // 60} minutes; `dais login` shows another",
            code="no-such-code",
        )
    return row
