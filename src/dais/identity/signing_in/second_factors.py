"""Second factors: devices that show one-time codes (TOTP, RFC 6238), and recovery codes for when they are lost.

A code is good for its 30 seconds and the 30 before and after, for clocks differ; and once: a device's last code, and
every older one, is refused from then on, also when the same one is sent twice at the same time.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select, update

from dais.identity.commands.names import changed, check_text
from dais.identity.passkeys.tables import passkeys
from dais.identity.rules import require
from dais.identity.secrets import hash_of
from dais.identity.signing_in.tables import authenticators, recovery_codes
from dais.identity.types import Actor
from dais.kit.clock import SECOND, to_rfc3339
from dais.kit.database import Event, Statement, UnitOfWork
from dais.kit.errors import Conflict, NotFound, TooMany
from dais.kit.ids import new_id
from dais.kit.vault import Vault

PERIOD, SKEW = 30, 1
"""Seconds of a code, and how many codes before and after are taken, too."""
SECRET_BYTES = 20
MOST_DEVICES = 10
RECOVERY_CODES = 10
ENROLMENT_SECONDS = 60 * 60
"""For how long a device can be set up with the secret that was shown."""

_blanks = re.compile(r"[\s-]+")
_insert = Statement(insert(authenticators))
_unconfirmed = Statement(
    select(authenticators)
    .where(authenticators.c.user_id == bindparam("user_id"), authenticators.c.confirmed_at.is_(None))
    .order_by(authenticators.c.id.desc())
    .limit(1)
)
_drop_unconfirmed = Statement(
    delete(authenticators).where(
        authenticators.c.user_id == bindparam("user_id"), authenticators.c.confirmed_at.is_(None)
    )
)
_confirmed = Statement(
    select(authenticators)
    .where(authenticators.c.user_id == bindparam("user_id"), authenticators.c.confirmed_at.is_not(None))
    .order_by(authenticators.c.id)
)
_confirm = Statement(
    update(authenticators)
    .where(authenticators.c.id == bindparam("its_id"), authenticators.c.confirmed_at.is_(None))
    .values(confirmed_at=bindparam("now"), name=bindparam("new_name"), last_step=bindparam("step"))
)
_use = Statement(
    update(authenticators)
    .where(authenticators.c.id == bindparam("its_id"), authenticators.c.last_step < bindparam("step"))
    .values(last_step=bindparam("step"), last_used_at=bindparam("now"))
)
_remove = Statement(
    delete(authenticators)
    .where(authenticators.c.id == bindparam("its_id"), authenticators.c.user_id == bindparam("user_id"))
    .returning(authenticators.c.name)
)
_remove_all = Statement(delete(authenticators).where(authenticators.c.user_id == bindparam("user_id")))
_every = Statement(select(authenticators.c.id, authenticators.c.sealed))
_reseal = Statement(
    update(authenticators).where(authenticators.c.id == bindparam("its_id")).values(sealed=bindparam("again"))
)
_insert_code = Statement(insert(recovery_codes))
_remove_passkeys = Statement(delete(passkeys).where(passkeys.c.user_id == bindparam("user_id")))
_remove_codes = Statement(delete(recovery_codes).where(recovery_codes.c.user_id == bindparam("user_id")))
_use_code = Statement(
    update(recovery_codes)
    .where(
        recovery_codes.c.hash == bindparam("its_hash"),
        recovery_codes.c.user_id == bindparam("user_id"),
        recovery_codes.c.used_at.is_(None),
    )
    .values(used_at=bindparam("now"))
)
_codes_left = Statement(
    select(func.count())
    .select_from(recovery_codes)
    .where(recovery_codes.c.user_id == bindparam("user_id"), recovery_codes.c.used_at.is_(None))
)


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """A device that is being set up. `secret` is base-32 text, as authenticator apps take it."""

    id: str
    secret: str


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticator. Instants are RFC 3339 text."""

    id: str
    name: str
    confirmed_at: str
    last_used_at: str | None


def begin_enrolment(uow: UnitOfWork, vault: Vault, user_id: str) -> Enrolment:
    """The secret of a device that is to be set up: the same one for an hour, so that a page can be loaded again.

    Raises TooMany `too-many-devices`.
    """
    row = uow.one(_unconfirmed, user_id=user_id)
    if row is not None and row.created_at > uow.now - ENROLMENT_SECONDS * SECOND:
        return Enrolment(id=row.id, secret=vault.open(row.sealed, *_bound_to(row.id)).decode())
    if len(uow.all(_confirmed, user_id=user_id)) >= MOST_DEVICES:
        raise TooMany(f"there are {MOST_DEVICES} devices, which is the limit; remove one", code="too-many-devices")
    uow.run(_drop_unconfirmed, user_id=user_id)
    made = Enrolment(id=new_id(), secret=base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode())
    uow.run(
        _insert,
        id=made.id,
        user_id=user_id,
        name="",
        sealed=vault.seal(made.secret.encode(), *_bound_to(made.id)),
        last_step=0,
        created_at=uow.now,
        confirmed_at=None,
        last_used_at=None,
    )
    return made


def confirm_enrolment(uow: UnitOfWork, vault: Vault, user_id: str, code: str, name: str) -> bool:
    """Finish setting a device up with a code that it shows; whether the code was right. `name` is for its owner.

    Raises Conflict `no-enrolment` when none is being set up, Invalid `bad-text`.
    """
    name = check_text(name, "a device's name", 64) or "authenticator"
    row = uow.one(_unconfirmed, user_id=user_id)
    if row is None or row.created_at <= uow.now - ENROLMENT_SECONDS * SECOND:
        raise Conflict("no device is being set up, or it took too long; begin again", code="no-enrolment")
    step = _matching_step(vault, row.id, row.sealed, code, uow.now)
    if step is None or not uow.run(_confirm, its_id=row.id, now=uow.now, new_name=name, step=step):
        return False
    changed(uow, Event("second-factor.new", "user", user_id, None, {"user_id": user_id, "name": name}))
    return True


def check_code(uow: UnitOfWork, vault: Vault, user_id: str, code: str) -> bool:
    """Whether it is a code of one of the user's devices, or a recovery code; it is used up."""
    given = _blanks.sub("", code)
    if len(given) == 6:
        for row in uow.all(_confirmed, user_id=user_id):
            step = _matching_step(vault, row.id, row.sealed, given, uow.now)
            if step is not None and uow.run(_use, its_id=row.id, step=step, now=uow.now):
                return True
        return False
    its_hash = hash_of(f"{user_id} {given.upper()}")
    if not uow.run(_use_code, its_hash=its_hash, user_id=user_id, now=uow.now):
        return False
    uow.emit(Event("recovery-code.used", "user", user_id, None, {"left": recovery_codes_left(uow, user_id)}))
    return True


def new_recovery_codes(uow: UnitOfWork, user_id: str) -> list[str]:
    """Ten fresh codes, which are told this once; older ones are good no more."""
    uow.run(_remove_codes, user_id=user_id)
    codes = []
    for _ in range(RECOVERY_CODES):
        text = base64.b32encode(secrets.token_bytes(10)).decode()
        uow.run(_insert_code, hash=hash_of(f"{user_id} {text}"), user_id=user_id, created_at=uow.now, used_at=None)
        codes.append("-".join(text[start : start + 4] for start in range(0, 16, 4)))
    uow.emit(Event("recovery-code.new", "user", user_id, None, {"user_id": user_id}))
    return codes


def recovery_codes_left(uow: UnitOfWork, user_id: str) -> int:
    """How many have not been used."""
    return int(uow.scalar(_codes_left, user_id=user_id))


def list_devices(uow: UnitOfWork, user_id: str) -> list[Device]:
    """The devices of a user that are set up, the oldest first."""
    return [
        Device(
            id=row.id,
            name=row.name,
            confirmed_at=to_rfc3339(row.confirmed_at),
            last_used_at=to_rfc3339(row.last_used_at) if row.last_used_at is not None else None,
        )
        for row in uow.all(_confirmed, user_id=user_id)
    ]


def remove_device(uow: UnitOfWork, user_id: str, device_id: str) -> None:
    """Take a device away; with the last one go the recovery codes. Raises NotFound `no-such-device`."""
    row = uow.one(_remove, its_id=device_id, user_id=user_id)
    if row is None:
        raise NotFound("there is no such device of yours", code="no-such-device")
    if not uow.all(_confirmed, user_id=user_id):
        uow.run(_remove_codes, user_id=user_id)
    changed(uow, Event("second-factor.removed", "user", user_id, None, {"user_id": user_id, "name": row.name}))


def remove_second_factors(uow: UnitOfWork, user_id: str) -> None:
    """Take every device, passkey and recovery code away. Permission is the caller's to have asked for."""
    uow.run(_remove_all, user_id=user_id)
    uow.run(_remove_passkeys, user_id=user_id)
    uow.run(_remove_codes, user_id=user_id)
    changed(uow, Event("second-factor.removed", "user", user_id, None, {"user_id": user_id}))


def reseal_devices(uow: UnitOfWork, actor: Actor, vault: Vault) -> int:
    """Seal the secret of every device with the newest key of the vault; how many."""
    require(uow, actor, "installation:set")
    rows = uow.all(_every)
    again = [
        {"its_id": row.id, "again": vault.seal(vault.open(row.sealed, *_bound_to(row.id)), *_bound_to(row.id))}
        for row in rows
    ]
    uow.many(_reseal, again)
    return len(rows)


def key_address(secret: str, user: str) -> str:
    """What the QR code says: the address by which authenticator apps take a secret."""
    import pyotp

    return pyotp.TOTP(secret, interval=PERIOD).provisioning_uri(name=user, issuer_name="Dais")


def _matching_step(vault: Vault, device_id: str, sealed: str, code: str, now: int) -> int | None:
    """The place in time of the code, where it is one of those that are good now. Every one is compared."""
    import pyotp

    given = _blanks.sub("", code)
    totp = pyotp.TOTP(vault.open(sealed, *_bound_to(device_id)).decode(), interval=PERIOD)
    here = now // SECOND // PERIOD
    found = None
    for step in range(here - SKEW, here + SKEW + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), given.encode("utf-8", "surrogatepass")):
            found = step
    return found


def _bound_to(device_id: str) -> tuple[str, ...]:
    return ("authenticator", device_id)
