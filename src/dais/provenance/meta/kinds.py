"""The kinds of entities that are below this package; those above describe theirs in the same way."""

from __future__ import annotations

from collections.abc import Mapping

from dais.data import FILE_ROWS, FILE_SET_ROWS, FOLDER_ROWS, get_file, get_file_set, get_folder
from dais.identity import USER_ROWS, Actor, require, resolve_account, resolve_user
from dais.kit.database import UnitOfWork
from dais.provenance.meta.types import Entity, FactType, Kind

COMMON: Mapping[str, FactType] = {
    "_id": "text",
    "__full_path__": "text",
    "__creator_id__": "text",
    "__create_time__": "instant",
}
"""What entities of every kind tell; and `__type__`, the kind itself."""


def _file(uow: UnitOfWork, actor: Actor, ref: str, account: str | None, action: str) -> Entity:
    found = get_file(uow, actor, ref, account=account, action=action)
    return Entity(id=found.id, account_id=resolve_account(uow, actor, account).id)


def _file_set(uow: UnitOfWork, actor: Actor, ref: str, account: str | None, action: str) -> Entity:
    found = get_file_set(uow, actor, ref, account=account, action=action)
    return Entity(id=found.id, account_id=found.account_id)


def _folder(uow: UnitOfWork, actor: Actor, ref: str, account: str | None, action: str) -> Entity:
    found = get_folder(uow, actor, ref, account=account, action=action)
    return Entity(id=found.id, account_id=found.account_id)


_versioned: Mapping[str, FactType] = {
    **COMMON,
    "__version__": "number",
    "__size__": "number",
    "__digest__": "text",
}

FILE = Kind("file", "file", FILE_ROWS, _versioned, _file)
"""A version of a file: `/a/b.txt`, the latest, or `/a/b.txt:3`."""

FILESET = Kind(
    "fileset", "fileset", FILE_SET_ROWS, {**_versioned, "__files__": "number", "__made_by__": "text"}, _file_set
)
"""A version of a file set: `texts`, the latest, or `texts:2`."""


def _user(uow: UnitOfWork, actor: Actor, ref: str, account: str | None, action: str) -> Entity:
    found = resolve_user(uow, actor, ref)
    require(uow, actor, action, organization_id=found.organization_id, resource_id=found.id)
    return Entity(id=found.id, account_id=found.organization_id)


FOLDER = Kind("folder", "data", FOLDER_ROWS, COMMON, _folder)
"""A folder, by its name or id."""

USER = Kind(
    "user",
    "user",
    USER_ROWS,
    {
        "_id": "text",
        "__full_path__": "text",
        "__create_time__": "instant",
        "__number__": "number",
        "__state__": "text",
    },
    _user,
    holder="organization",
)
"""A user, by name, id, e-mail address or full name. `__state__` is active or disabled."""
