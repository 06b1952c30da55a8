"""Who it is that shows a public key, now and as long as a connection lasts."""

from __future__ import annotations

import msgspec
from sqlalchemy import bindparam, update

from dais.identity.holders import actor_of, with_holder
from dais.identity.ssh_keys.parsing import fingerprint_of
from dais.identity.ssh_keys.tables import ssh_keys
from dais.identity.types import Actor
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Unauthenticated

_used = Statement(update(ssh_keys).where(ssh_keys.c.id == bindparam("key_id")).values(last_used_at=bindparam("now")))
_whose = with_holder(ssh_keys, ssh_keys.c.id.label("key_id"))
_holder = Statement(_whose.where(ssh_keys.c.fingerprint == bindparam("fingerprint")))
_holder_again = Statement(_whose.where(ssh_keys.c.id == bindparam("id")))


class SshHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a public key is."""

    key_id: str
    actor: Actor


def find_ssh_key(uow: UnitOfWork, *, blob: bytes = b"", key_id: str = "") -> SshHolder:
    """Whose a key is, as it goes over the wire, or by the id that it was found with before.

    Raises Unauthenticated `ssh-key-unknown`, `user-disabled`.
    """
    return _held(uow.one(_holder_again, id=key_id) if key_id else uow.one(_holder, fingerprint=fingerprint_of(blob)))


def touch_ssh_key(uow: UnitOfWork, key_id: str) -> None:
    """Note that the key has just let its user in."""
    uow.run(_used, key_id=key_id, now=uow.now)


def _held(row: Row | None) -> SshHolder:
    if row is None:
        raise Unauthenticated("this installation does not know the key", code="ssh-key-unknown")
    return SshHolder(key_id=row.key_id, actor=actor_of(row))
