"""Adding, listing and removing users' public keys."""

from __future__ import annotations

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select

from dais.identity.commands.names import check_text
from dais.identity.commands.tokens import require_token
from dais.identity.queries.users import get_user
from dais.identity.rules import may, require, require_on, resource_at
from dais.identity.ssh_keys.parsing import parse_public_key
from dais.identity.ssh_keys.tables import ssh_keys
from dais.identity.topics import CHANGED
from dais.identity.types import Actor
from dais.identity.urns import Resource
from dais.kit.database import Event, Row, Statement, UnitOfWork
from dais.kit.errors import Conflict, NotFound, TooMany
from dais.kit.ids import new_id

MOST_SSH_KEYS = 50

_insert = Statement(insert(ssh_keys), suffix="ON CONFLICT (fingerprint) DO NOTHING")
_of_user = Statement(select(ssh_keys).where(ssh_keys.c.user_id == bindparam("user_id")).order_by(ssh_keys.c.id.desc()))
_count = Statement(select(func.count()).select_from(ssh_keys).where(ssh_keys.c.user_id == bindparam("user_id")))
_by_id = Statement(select(ssh_keys).where(ssh_keys.c.id == bindparam("id")))
_by_fingerprint = Statement(select(ssh_keys).where(ssh_keys.c.fingerprint == bindparam("fingerprint")))
_remove = Statement(delete(ssh_keys).where(ssh_keys.c.id == bindparam("key_id")))


class SshKey(msgspec.Struct, frozen=True, kw_only=True):
    """A user's public key; instants are µs since the epoch."""

    id: str
    user_id: str
    kind: str
    fingerprint: str
    public: str
    label: str | None
    created_at: int
    last_used_at: int | None


def add_ssh_key(
    uow: UnitOfWork, actor: Actor, text: str, *, user_id: str | None = None, label: str | None = None
) -> SshKey:
    """Let a user (by default the actor) in by a public key. Without a label it is called as its comment says.

    It lets do what the user may: it is asked for, and refused, as a token that is not narrowed (`create_token`).
    Raises Invalid `bad-ssh-key`, `weak-ssh-key`; Conflict `ssh-key-exists`; TooMany `too-many-ssh-keys`.
    """
    key = parse_public_key(text)
    user = get_user(uow, user_id or actor.id)
    require_token(uow, actor, user, None)
    if uow.scalar(_count, user_id=user.id) >= MOST_SSH_KEYS:
        raise TooMany(
            f"a user has at most {MOST_SSH_KEYS} keys for SSH; remove one that is not used any more",
            code="too-many-ssh-keys",
        )
    label = check_text(label if label is not None else key.comment, "the label of a key", 128) or None
    made = new_id()
    if not uow.run(
        _insert,
        id=made,
        user_id=user.id,
        fingerprint=key.fingerprint,
        kind=key.kind,
        public=key.line,
        label=label,
        created_at=uow.now,
        last_used_at=None,
    ):
        other = uow.one(_by_fingerprint, fingerprint=key.fingerprint)
        whose = "this user's" if other is not None and other.user_id == user.id else "in use"
        raise Conflict(
            f"the key {key.fingerprint} is {whose} already; a key belongs to one user",
            code="ssh-key-exists",
            fingerprint=key.fingerprint,
        )
    uow.emit(Event("ssh_key.new", "user", user.id, user.account_id, {"fingerprint": key.fingerprint}))
    return _key(uow.one(_by_id, id=made))


def list_ssh_keys(uow: UnitOfWork, actor: Actor, user_id: str | None = None) -> list[SshKey]:
    """The public keys of a user (by default the actor), the newest first."""
    user = get_user(uow, user_id or actor.id)
    require(uow, actor, "token:list", organization_id=user.organization_id, holder=("user", user.id))
    return [_key(row) for row in uow.all(_of_user, user_id=user.id)]


def remove_ssh_key(uow: UnitOfWork, actor: Actor, ref: str) -> None:
    """Let nobody in by a key any more, named by its id or fingerprint; connections that it opened end.

    Raises NotFound `no-such-ssh-key`, also for one that the actor may not remove.
    """
    row = uow.one(_by_fingerprint, fingerprint=ref) if ref.startswith("SHA256:") else uow.one(_by_id, id=ref)
    if row is None or not may(uow, actor, "token:rm", _resource(uow, row)):
        raise NotFound(f"there is no key {ref[:80]!r} of yours for SSH", code="no-such-ssh-key", key=ref[:80])
    require_on(uow, actor, "token:rm", _resource(uow, row))
    uow.run(_remove, key_id=row.id)
    uow.emit(Event("ssh_key.removed", "user", row.user_id, None, {"fingerprint": row.fingerprint}))
    uow.hint(CHANGED)


def _resource(uow: UnitOfWork, row: Row) -> Resource:
    user = get_user(uow, row.user_id)
    return resource_at(uow, "token", row.id, organization_id=user.organization_id, holder=("user", user.id))


def _key(row: Row) -> SshKey:
    return SshKey(
        id=row.id,
        user_id=row.user_id,
        kind=row.kind,
        fingerprint=row.fingerprint,
        public=row.public,
        label=row.label,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )
