"""Setting and removing tags and key-values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select

from dais.identity import INSTALLATION, Actor
from dais.kit.database import Event, Statement, UnitOfWork, in_list
from dais.kit.errors import TooMany
from dais.provenance.meta.tables import meta_tags, meta_values
from dais.provenance.meta.types import Entity, Gone, Kind
from dais.provenance.meta.values import check_key, check_word, stored
from dais.wire.meta import MAX_KEYS, MAX_TAGS, Value

_put_value = Statement(
    insert(meta_values),
    suffix="ON CONFLICT (entity_id, key) DO UPDATE SET type = excluded.type, number = excluded.number, "
    "text = excluded.text",
)
_put_tag = Statement(insert(meta_tags), suffix="ON CONFLICT DO NOTHING")
_keys = Statement(
    select(func.count()).select_from(meta_values).where(meta_values.c.entity_id == bindparam("entity_id"))
)
_tags = Statement(select(func.count()).select_from(meta_tags).where(meta_tags.c.entity_id == bindparam("entity_id")))
_delete_keys = Statement(
    delete(meta_values).where(meta_values.c.entity_id == bindparam("entity_id"), in_list(meta_values.c.key, "keys"))
)
_delete_tags = Statement(
    delete(meta_tags).where(meta_tags.c.entity_id == bindparam("entity_id"), in_list(meta_tags.c.tag, "tags"))
)


def update_meta(
    uow: UnitOfWork,
    actor: Actor,
    kind: Kind,
    ref: str,
    *,
    tags: Iterable[str] = (),
    values: Mapping[str, Value] | None = None,
    account: str | None = None,
) -> Entity:
    """Add tags and set key-values of what `ref` means; others stay.

    Raises NotFound, Forbidden (`<type>:set`), Invalid `bad-key`, `system-key`, `bad-tag`, `bad-value`, TooMany
    `too-many-keys`, `too-many-tags`.
    """
    rows = {check_key(key): stored(value, key) for key, value in (values or {}).items()}
    words = [check_word(tag, "tag") for tag in tags]
    found = kind.find(uow, actor, ref, account, f"{kind.type}:set")
    _write(uow, kind.name, found, rows, words)
    uow.emit(
        Event("meta.set", kind.name, found.id, _account(kind, found), {"keys": sorted(rows), "tags": sorted(words)})
    )
    return found


def set_values(
    uow: UnitOfWork,
    kind: str,
    entity_id: str,
    account_id: str,
    values: Mapping[str, Value],
    *,
    tags: Iterable[str] = (),
) -> None:
    """The same without asking for permission, for verbs that have asked. `kind` is the name of an entity's kind."""
    rows = {check_key(key): stored(value, key) for key, value in values.items()}
    words = [check_word(tag, "tag") for tag in tags]
    _write(uow, kind, Entity(id=entity_id, account_id=account_id), rows, words)


def delete_meta(
    uow: UnitOfWork,
    actor: Actor,
    kind: Kind,
    ref: str,
    *,
    tags: Sequence[str] = (),
    keys: Sequence[str] = (),
    account: str | None = None,
) -> Gone:
    """Remove tags and keys; what is not there is no error. Raises NotFound, Forbidden (`<type>:set`), Invalid."""
    names = [check_key(key) for key in keys]
    words = [check_word(tag, "tag") for tag in tags]
    found = kind.find(uow, actor, ref, account, f"{kind.type}:set")
    gone = Gone(
        tags=uow.run(_delete_tags, entity_id=found.id, tags=words),
        keys=uow.run(_delete_keys, entity_id=found.id, keys=names),
    )
    uow.emit(Event("meta.removed", kind.name, found.id, _account(kind, found), {"keys": names, "tags": words}))
    return gone


def _account(kind: Kind, entity: Entity) -> str | None:
    """The account whose members hear of a change; None: nobody's."""
    return entity.account_id if kind.holder == "account" and entity.account_id != INSTALLATION else None


def _write(uow: UnitOfWork, kind: str, entity: Entity, rows: Mapping[str, Any], words: Sequence[str]) -> None:
    place = {"entity_id": entity.id, "account_id": entity.account_id, "kind": kind}
    uow.many(
        _put_value,
        (
            {**place, "key": key, "type": row.type, "number": row.number, "text": row.text}
            for key, row in sorted(rows.items())
        ),
    )
    uow.many(_put_tag, ({**place, "tag": word} for word in sorted(set(words))))
    for given, statement, most, what in ((rows, _keys, MAX_KEYS, "keys"), (words, _tags, MAX_TAGS, "tags")):
        if given and (count := uow.scalar(statement, entity_id=entity.id)) > most:
            raise TooMany(
                f"it would have {count:,} {what}; there is room for {most}: remove some, or keep them in a file",
                code=f"too-many-{what}",
                count=count,
                limit=most,
            )
