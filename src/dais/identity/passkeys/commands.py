"""A user's passkeys: adding, naming, removing; and who it is that shows one."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, insert, select, update

from dais.identity.challenges import Challenge
from dais.identity.commands.names import check_text
from dais.identity.passkeys.ceremonies import (
    Site,
    check_assertion,
    check_creation,
    creation_options,
    credential_id_of,
    not_believed,
    owner_of,
    request_options,
)
from dais.identity.passkeys.tables import passkeys
from dais.identity.queries.users import get_user
from dais.identity.rules import require
from dais.identity.signing_in.keeping import has_password
from dais.identity.sso.tables import linked_identities
from dais.identity.types import Actor
from dais.kit.clock import to_rfc3339
from dais.kit.database import Event, Row, Statement, UnitOfWork
from dais.kit.errors import Conflict, NotFound, TooMany, Unauthenticated
from dais.kit.ids import new_id

MOST_PASSKEYS = 20

_insert = Statement(insert(passkeys), suffix="ON CONFLICT (credential_id) DO NOTHING")
_of_user = Statement(select(passkeys).where(passkeys.c.user_id == bindparam("user_id")).order_by(passkeys.c.id))
_by_credential = Statement(select(passkeys).where(passkeys.c.credential_id == bindparam("credential_id")))
_one = Statement(
    select(passkeys.c.id).where(passkeys.c.id == bindparam("id"), passkeys.c.user_id == bindparam("user_id"))
)
_rename = Statement(
    update(passkeys)
    .where(passkeys.c.id == bindparam("passkey_id"), passkeys.c.user_id == bindparam("owner"))
    .values(name=bindparam("new_name"))
)
_remove = Statement(
    delete(passkeys).where(passkeys.c.id == bindparam("passkey_id"), passkeys.c.user_id == bindparam("owner"))
)
_used = Statement(
    update(passkeys)
    .where(passkeys.c.id == bindparam("passkey_id"))
    .values(counter=bindparam("told"), last_used_at=bindparam("now"))
)
_copied = Statement(update(passkeys).where(passkeys.c.id == bindparam("passkey_id")).values(copied_at=bindparam("now")))
_linked = Statement(select(linked_identities.c.id).where(linked_identities.c.user_id == bindparam("user_id")).limit(1))


class Passkey(msgspec.Struct, frozen=True, kw_only=True):
    """A passkey of a user. `synced`: its keeper copies it between devices; `copied`: it is not believed any more."""

    id: str
    name: str
    synced: bool
    copied: bool
    created_at: str
    last_used_at: str | None


class Recognized(msgspec.Struct, frozen=True, kw_only=True):
    """Who has shown a passkey. `verified`: and the device checked that it is them. `copied`: nobody is believed."""

    user_id: str
    passkey: str
    verified: bool
    copied: bool = False


def passkey_creation(uow: UnitOfWork, actor: Actor, site: Site, challenge: Challenge) -> dict[str, Any]:
    """What the browser is asked to make a passkey with. Raises TooMany `too-many-passkeys`."""
    require(uow, actor, "user:set", organization_id=actor.organization_id, resource_id=actor.id)
    have = uow.all(_of_user, user_id=actor.id)
    _refuse_more(len(have))
    return creation_options(
        site, get_user(uow, actor.id), challenge.derived("passkey"), (row.credential_id for row in have)
    )


def add_passkey(
    uow: UnitOfWork, actor: Actor, site: Site, challenge: Challenge, answer: dict[str, Any], name: str
) -> Passkey:
    """Keep the passkey that the actor's browser made. Raises Invalid `bad-passkey`, Conflict `passkey-exists`."""
    require(uow, actor, "user:set", organization_id=actor.organization_id, resource_id=actor.id)
    if challenge.subject != actor.id:
        raise not_believed()
    made = check_creation(site, challenge.derived("passkey"), answer)
    have = uow.all(_of_user, user_id=actor.id)
    _refuse_more(len(have))
    passkey_id = new_id()
    kept = uow.run(
        _insert,
        id=passkey_id,
        user_id=actor.id,
        credential_id=made.credential_id,
        public_key=made.public_key,
        counter=made.counter,
        transports=msgspec.json.encode(made.transports).decode(),
        synced=int(made.synced),
        name=check_text(name, "a passkey's name", 64) or f"passkey {len(have) + 1}",
        created_at=uow.now,
        last_used_at=None,
        copied_at=None,
    )
    if not kept:
        raise Conflict("this passkey is known here already", code="passkey-exists")
    uow.emit(Event("passkey.new", "user", actor.id, actor.account_id, {"passkey": passkey_id}))
    return next(one for one in list_passkeys(uow, actor) if one.id == passkey_id)


def list_passkeys(uow: UnitOfWork, actor: Actor) -> list[Passkey]:
    """The actor's passkeys, the oldest first."""
    return [_passkey(row) for row in uow.all(_of_user, user_id=actor.id)]


def rename_passkey(uow: UnitOfWork, actor: Actor, passkey_id: str, name: str) -> None:
    """Call one of the actor's passkeys otherwise. Raises NotFound `no-such-passkey`."""
    require(uow, actor, "user:set", organization_id=actor.organization_id, resource_id=actor.id)
    new_name = check_text(name, "a passkey's name", 64) or "passkey"
    if not uow.run(_rename, passkey_id=passkey_id, owner=actor.id, new_name=new_name):
        raise _no_such(passkey_id)


def remove_passkey(uow: UnitOfWork, actor: Actor, passkey_id: str) -> None:
    """Take one of the actor's passkeys no more.

    Raises NotFound `no-such-passkey`, Conflict `last-way-in`.
    """
    require(uow, actor, "user:set", organization_id=actor.organization_id, resource_id=actor.id)
    if uow.one(_one, id=passkey_id, user_id=actor.id) is None:
        raise _no_such(passkey_id)
    left = [row for row in uow.all(_of_user, user_id=actor.id) if row.id != passkey_id and row.copied_at is None]
    if not left and not has_password(uow, actor.id) and uow.one(_linked, user_id=actor.id) is None:
        raise Conflict(
            "this passkey is the last way in which you can sign in; set a password or add another passkey first",
            code="last-way-in",
        )
    uow.run(_remove, passkey_id=passkey_id, owner=actor.id)
    uow.emit(Event("passkey.removed", "user", actor.id, actor.account_id, {"passkey": passkey_id}))


def passkey_request(uow: UnitOfWork, site: Site, challenge: Challenge, user_id: str | None = None) -> dict[str, Any]:
    """What the browser is asked to show a passkey with: any of the site, which must check its owner; or, as a second
    factor, one of this user's.
    """
    wanted = challenge.derived("passkey")
    if user_id is None:
        return request_options(site, wanted, verification="required")
    have = [row.credential_id for row in uow.all(_of_user, user_id=user_id) if row.copied_at is None]
    return request_options(site, wanted, verification="preferred", have=have)


def recognize(uow: UnitOfWork, site: Site, challenge: Challenge, answer: dict[str, Any]) -> Recognized:
    """Who shows a passkey. Raises Unauthenticated `bad-passkey`.

    A counter that goes backwards means that there are two of the key: it is written down and never believed again. That
    is told by `copied`, for what is raised writes nothing down.
    """
    row = uow.one(_by_credential, credential_id=credential_id_of(answer))
    if row is None or owner_of(answer) not in (None, row.user_id):
        raise not_believed()
    shown = check_assertion(site, challenge.derived("passkey"), answer, row.public_key)
    found = Recognized(user_id=row.user_id, passkey=row.name, verified=shown.verified)
    if row.copied_at is not None:
        return msgspec.structs.replace(found, copied=True)
    if (shown.counter or row.counter) and shown.counter <= row.counter:
        uow.run(_copied, passkey_id=row.id, now=uow.now)
        uow.emit(Event("passkey.copied", "user", row.user_id, None, {"passkey": row.id}))
        return msgspec.structs.replace(found, copied=True)
    uow.run(_used, passkey_id=row.id, told=shown.counter, now=uow.now)
    return found


def copied_passkey(name: str) -> Unauthenticated:
    """What is said to who shows a passkey of which there are two."""
    return Unauthenticated(
        f"there seem to be two copies of the passkey {name!r}, so it is not taken any more; sign in another way, "
        "remove it in your settings and make a new one",
        code="passkey-copied",
    )


def _refuse_more(have: int) -> None:
    if have >= MOST_PASSKEYS:
        raise TooMany(f"you have {MOST_PASSKEYS} passkeys, which is the limit; remove some", code="too-many-passkeys")


def _no_such(passkey_id: str) -> NotFound:
    return NotFound(f"you have no passkey {passkey_id[:40]}", code="no-such-passkey")


def _passkey(row: Row) -> Passkey:
    return Passkey(
        id=row.id,
        name=row.name,
        synced=bool(row.synced),
        copied=row.copied_at is not None,
        created_at=to_rfc3339(row.created_at),
        last_used_at=to_rfc3339(row.last_used_at) if row.last_used_at is not None else None,
    )
