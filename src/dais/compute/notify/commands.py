"""A user's own wishes: who is told of their jobs by default, and the key that their webhooks are signed with."""

from __future__ import annotations

import msgspec
from sqlalchemy import bindparam, insert, select, update

from dais.compute.notify.tables import notify_settings
from dais.compute.notify.webhook import new_signing_key
from dais.identity import Actor, require
from dais.kit.database import Event, Statement, UnitOfWork
from dais.kit.errors import Invalid
from dais.kit.vault import Vault
from dais.wire.notify import NOBODY, check_targets
from dais.wire.problems import SpecError

_select = Statement(select(notify_settings).where(notify_settings.c.user_id == bindparam("user_id")))
_insert = insert(notify_settings)
_set_targets = Statement(
    _insert, suffix="ON CONFLICT (user_id) DO UPDATE SET targets = excluded.targets, set_at = excluded.set_at"
)
_set_signing = Statement(
    _insert, suffix="ON CONFLICT (user_id) DO UPDATE SET signing = excluded.signing, set_at = excluded.set_at"
)
_signed = Statement(
    select(notify_settings.c.user_id, notify_settings.c.signing).where(notify_settings.c.signing.is_not(None))
)
_reseal = Statement(
    update(notify_settings).where(notify_settings.c.user_id == bindparam("user")).values(signing=bindparam("again"))
)


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told of a user's jobs that name nobody, and whether their webhooks are signed."""

    targets: tuple[str, ...] = ()
    signed: bool = False


def get_wishes(uow: UnitOfWork, actor: Actor) -> Wishes:
    """The actor's own."""
    require(uow, actor, "user:get", organization_id=actor.organization_id, resource_id=actor.id)
    return _wishes(uow, actor)


def _wishes(uow: UnitOfWork, actor: Actor) -> Wishes:
    row = uow.one(_select, user_id=actor.id)
    if row is None:
        return Wishes()
    return Wishes(targets=msgspec.json.decode(row.targets, type=tuple[str, ...]), signed=row.signing is not None)


def set_targets(uow: UnitOfWork, actor: Actor, targets: tuple[str, ...]) -> Wishes:
    """Who is told of the actor's jobs from now on; nobody when empty. Raises Invalid `bad-target`."""
    try:
        check_targets(targets, "targets")
    except SpecError as error:
        raise Invalid(f"{error}; {error.hint}" if error.hint else str(error), code="bad-target") from error
    require(uow, actor, "user:set", organization_id=actor.organization_id, resource_id=actor.id)
    kept = [target for target in targets if target != NOBODY]
    uow.run(_set_targets, user_id=actor.id, targets=msgspec.json.encode(kept).decode(), signing=None, set_at=uow.now)
    uow.emit(Event("notify.set", "user", actor.id, None))
    return _wishes(uow, actor)


def new_signing(uow: UnitOfWork, actor: Actor, vault: Vault) -> str:
    """A new key for the actor's webhooks, in place of the one before; it is told this once."""
    require(uow, actor, "user:set", organization_id=actor.organization_id, resource_id=actor.id)
    key = new_signing_key()
    uow.run(
        _set_signing,
        user_id=actor.id,
        targets=msgspec.json.encode(_wishes(uow, actor).targets).decode(),
        signing=vault.seal(key.encode(), *bound_to(actor.id)),
        set_at=uow.now,
    )
    uow.emit(Event("notify.signing", "user", actor.id, None))
    return key


def reseal_signing(uow: UnitOfWork, actor: Actor, vault: Vault) -> int:
    """Encrypt every signing key with the newest key of the vault; how many. Administrators only."""
    require(uow, actor, "installation:set")
    again = []
    for row in uow.all(_signed):
        context = bound_to(row.user_id)
        again.append({"user": row.user_id, "again": vault.seal(vault.open(row.signing, *context), *context)})
    uow.many(_reseal, again)
    return len(again)


def bound_to(user_id: str) -> tuple[str, ...]:
    """What a sealed signing key is bound to."""
    return ("notify", user_id)
