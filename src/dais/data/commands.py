"""Making and removing folders. The directory on the disk is made before the row, and removed after it."""

from __future__ import annotations

from sqlalchemy import bindparam, insert, select, update

from dais.data.queries import branches, folder_of, get_folder
from dais.data.tables import folders
from dais.data.types import Folder
from dais.identity import Actor, require, resolve_account
from dais.kit.database import Event, Row, Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid
from dais.wire.names import branch_of, check_folder_name
from dais.wire.problems import SpecError

_insert = Statement(insert(folders), suffix="ON CONFLICT DO NOTHING")
_by_id = Statement(select(folders).where(folders.c.id == bindparam("id")))
_staged = Statement(
    select(folders).where(
        folders.c.account_id == bindparam("account_id"),
        folders.c.staging == bindparam("staging"),
        folders.c.name == bindparam("name"),
        folders.c.created_by == bindparam("created_by"),
        folders.c.published_at.is_(None),
        folders.c.deleted_at.is_(None),
    )
)
_taken = Statement(
    select(folders.c.id).where(
        folders.c.account_id == bindparam("account_id"),
        folders.c.name == bindparam("name"),
        folders.c.published_at.is_not(None),
        folders.c.deleted_at.is_(None),
    )
)
_publish = Statement(
    update(folders)
    .where(folders.c.id == bindparam("folder_id"), folders.c.published_at.is_(None), folders.c.deleted_at.is_(None))
    .values(published_at=bindparam("now"), staging=None)
)
_remove = Statement(
    update(folders)
    .where(folders.c.id == bindparam("folder_id"), folders.c.deleted_at.is_(None))
    .values(deleted_at=bindparam("now"))
)
_expire = Statement(
    update(folders)
    .where(folders.c.published_at.is_(None), folders.c.deleted_at.is_(None), folders.c.created_at < bindparam("before"))
    .values(deleted_at=bindparam("now"))
)


def create_folder(
    uow: UnitOfWork,
    actor: Actor,
    folder_id: str,
    name: str,
    *,
    account: str | None = None,
    staging: str | None = None,
) -> Folder:
    """Make the row of a folder whose directory is there already; its id is `folder_id`.

    With `staging` the folder is not seen until `publish_folder`; when the actor has begun one with the same text,
    that one is answered instead (its id is another one). A branch `NAME@BRANCH` needs its folder, in the same account.
    Raises Invalid `bad-name`, Conflict `folder-exists`, NotFound.
    """
    try:
        check_folder_name(name)
    except SpecError as error:
        raise Invalid(f"{error.problem}; {error.hint}", code="bad-name", name=name[:80]) from error
    if staging is not None and not 1 <= len(staging) <= 255:
        raise Invalid("staging has from 1 to 255 characters", code="bad-staging")
    where = resolve_account(uow, actor, account)
    require(uow, actor, "data:new", account_id=where.id)
    base = branch_of(name)
    if base is not None:
        get_folder(uow, actor, base, account=where.id)
    if uow.one(_taken, account_id=where.id, name=name) is not None:
        raise _exists(where.full_name, name)
    if staging is not None:
        begun = uow.one(_staged, account_id=where.id, name=name, staging=staging, created_by=actor.id)
        if begun is not None:
            return folder_of(uow, begun)
    values = {
        "id": folder_id,
        "account_id": where.id,
        "name": name,
        "created_by": actor.id,
        "created_at": uow.now,
        "published_at": None if staging is not None else uow.now,
        "staging": staging,
        "deleted_at": None,
    }
    if not uow.run(_insert, **values):
        raise _exists(where.full_name, name)
    if staging is None:
        _emit(uow, "folder.new", folder_id, where.id, name)
    return folder_of(uow, _row(uow, folder_id))


def publish_folder(uow: UnitOfWork, actor: Actor, ref: str) -> Folder:
    """Show a folder that was filled while it was made. Doing it twice is the same as once.

    Raises Conflict `folder-exists` when the name was taken meanwhile.
    """
    folder = get_folder(uow, actor, ref, action="data:new")
    if not folder.staged:
        return folder
    if uow.one(_taken, account_id=folder.account_id, name=folder.name) is not None:
        raise _exists(folder.account, folder.name)
    uow.run(_publish, folder_id=folder.id, now=uow.now)
    _emit(uow, "folder.new", folder.id, folder.account_id, folder.name)
    return folder_of(uow, _row(uow, folder.id))


def remove_folder(uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None) -> Folder:
    """Remove a folder; its directory is the caller's to discard afterwards.

    Raises NotFound, Forbidden, Conflict `has-branches`.
    """
    folder = get_folder(uow, actor, ref, account=account, action="data:rm")
    found = () if folder.staged else branches(uow, folder)
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise Conflict(
            f"{folder.full_name} has the branch {found[0]}{more}; remove {'it' if len(found) == 1 else 'them'} first",
            code="has-branches",
            branches=found,
        )
    uow.run(_remove, folder_id=folder.id, now=uow.now)
    if not folder.staged:
        _emit(uow, "folder.removed", folder.id, folder.account_id, folder.name)
    return folder


def expire_staged(uow: UnitOfWork, before: int) -> int:
    """Remove folders that were begun before an instant and never published; how many."""
    return uow.run(_expire, before=before, now=uow.now)


def _row(uow: UnitOfWork, folder_id: str) -> Row:
    row = uow.one(_by_id, id=folder_id)
    assert row is not None, folder_id
    return row


def _emit(uow: UnitOfWork, kind: str, folder_id: str, account_id: str, name: str) -> None:
    uow.emit(Event(kind, "folder", folder_id, account_id, {"name": name}))


def _exists(account: str, name: str) -> Conflict:
    return Conflict(
        f"there is a folder {name!r} in {account} already; push into it, or choose another name",
        code="folder-exists",
        folder=name,
        account=account,
    )
