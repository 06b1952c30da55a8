"""Finding folders. A folder that the asker may not see is told as if there were none."""

from __future__ import annotations

import difflib
import functools
import re
from typing import Any

from sqlalchemy import and_, bindparam, func, or_, select

from dais.data.errors import invalid_path
from dais.data.tables import folders
from dais.data.types import Folder, MountedFolder
from dais.identity import (
    Account,
    Actor,
    conditions,
    get_account,
    listed,
    may_see,
    require,
    resolve_account,
    user_names,
)
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Invalid, NotFound
from dais.kit.ids import is_id
from dais.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from dais.wire.names import branch_of
from dais.wire.paths import PathError, clean_path, shown
from dais.wire.spec import Mount

_live = and_(folders.c.deleted_at.is_(None), folders.c.published_at.is_not(None))
_by_id = Statement(select(folders).where(folders.c.id == bindparam("id"), folders.c.deleted_at.is_(None)))
_by_name = Statement(
    select(folders).where(_live, folders.c.account_id == bindparam("account_id"), folders.c.name == bindparam("name"))
)
MOST_DOTTED = 50
_dotted = Statement(
    select(folders.c.name, folders.c.id)
    .where(_live, folders.c.account_id == bindparam("account_id"), folders.c.name.like(".%"))
    .order_by(folders.c.name)
    .limit(MOST_DOTTED)
)
_names = Statement(
    select(folders.c.name)
    .where(_live, folders.c.account_id == bindparam("account_id"))
    .order_by(folders.c.name)
    .limit(1000)
)
_branches = Statement(
    select(folders.c.name)
    .where(
        _live,
        folders.c.account_id == bindparam("account_id"),
        folders.c.name.like(bindparam("pattern"), escape="\\"),
    )
    .order_by(folders.c.name)
    .limit(1000)
)


FOLDER_ORDERS = ("name", "-name", "created", "-created")
"""How lists of folders can be sorted; `-` means downward."""


@functools.cache
def _page(order: str, shape: frozenset[str]) -> Statement:
    """A page of folders in one order, after a value of it and an id; `shape` as `conditions` takes it, `account_id`."""
    column: Any = folders.c.name if order.endswith("name") else folders.c.created_at
    descending = order.startswith("-")
    value: Any = bindparam("value")
    last: Any = bindparam("id")
    beyond = or_(column < value, and_(column == value, folders.c.id < last))
    if not descending:
        beyond = or_(column > value, and_(column == value, folders.c.id > last))
    beyond = or_(bindparam("first") == 1, beyond)
    page = (
        select(folders)
        .where(_live, func.lower(folders.c.name).like(bindparam("pattern"), escape="\\"), beyond)
        .order_by(*((column.desc(), folders.c.id.desc()) if descending else (column, folders.c.id)))
        .where(*conditions(shape, "data", id=folders.c.id, account=folders.c.account_id))
        .limit(bindparam("limit"))
    )
    if "account_id" in shape:
        page = page.where(folders.c.account_id == bindparam("account_id"))
    return Statement(page)


_existing = Statement(select(folders.c.id).where(folders.c.deleted_at.is_(None)))


def get_folder(
    uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None, action: str = "data:get"
) -> Folder:
    """The folder that `ref` means, when `actor` may do `action` with it.

    `ref` is an id, a full name `org.account.name` (`org.account./.name` where the name begins with a dot), or a name
    in `account` (default: the personal account). Raises NotFound `no-such-folder` with the nearest name, also for a
    folder that they may neither see nor do this with; Forbidden.
    """
    row, where = _find(uow, actor, ref, account)
    hidden = functools.partial(_no_such_folder, uow, actor, ref, where)
    if row is None or (row.published_at is None and row.created_by != actor.id):
        raise hidden()
    require(uow, actor, action, account_id=row.account_id, resource_id=row.id, hidden=hidden)
    return folder_of(uow, row)


def list_folders(
    uow: UnitOfWork,
    actor: Actor,
    *,
    account: str | None = None,
    match: str = "",
    order: str = "name",
    limit: int = 100,
    cursor: str | None = None,
) -> Page[Folder]:
    """The folders that `actor` may see, by name or as one of FOLDER_ORDERS; of one account if one is given.

    `match` keeps those whose names contain it, in any case. Raises Invalid `bad-cursor`, `bad-order`.
    """
    check_limit(limit)
    if order not in FOLDER_ORDERS:
        raise Invalid(
            f"{order[:40]!r} is no order of folders; there are {', '.join(FOLDER_ORDERS)}",
            code="bad-order",
            given=order[:40],
        )
    value: str | int = "" if order.endswith("name") else 0
    last = ""
    if cursor is not None:
        shape: Any = tuple[str, str] if isinstance(value, str) else tuple[int, str]
        value, last = decode_cursor(cursor, shape)
    of = {"account_id": resolve_account(uow, actor, account).id} if account is not None else {}
    of |= listed(uow, actor, "data:list", account_id=of.get("account_id")).values
    wanted = {"first": int(cursor is None), "value": value, "id": last, "pattern": _containing(match)}
    rows = uow.all(_page(order, frozenset(of)), **wanted, **of, limit=limit + 1)
    shown_rows = rows[:limit]
    owners = user_names(uow, {row.created_by for row in shown_rows})
    of_id = {account_id: get_account(uow, account_id) for account_id in {row.account_id for row in shown_rows}}
    items = [_folder(row, of_id[row.account_id], owners.get(row.created_by, "")) for row in shown_rows]
    if len(rows) <= limit:
        return Page(items, None)
    end = items[-1]
    return Page(items, encode_cursor(end.name if order.endswith("name") else end.created_at, end.id))


def find_mount(uow: UnitOfWork, actor: Actor, mount: Mount, account_id: str) -> MountedFolder:
    """The folder that a job of an account may mount. Whether the directory is there is seen when the run is prepared.

    Raises NotFound `no-such-folder`, Forbidden, and Invalid when the path leaves the folder.
    """
    try:
        path = clean_path(mount.path)
    except PathError as error:
        raise invalid_path(error) from error
    action = "data:mount" if mount.read_only else "data:set"
    folder = get_folder(uow, actor, mount.name, account=account_id, action=action)
    require(uow, actor, "data:mount", account_id=folder.account_id, resource_id=folder.id)
    return MountedFolder(folder_id=folder.id, path=path, read_only=mount.read_only)


def folders_with_dots(uow: UnitOfWork, actor: Actor) -> list[tuple[str, str]]:
    """Names and ids of the folders in the actor's own account whose names begin with a dot, the first MOST_DOTTED."""
    return [(row.name, row.id) for row in uow.all(_dotted, account_id=actor.account_id)]


def branches(uow: UnitOfWork, folder: Folder) -> list[str]:
    """The names of a folder's branches, `code@next`; of a branch there are none."""
    rows = uow.all(_branches, account_id=folder.account_id, pattern=f"{_plain(folder.name)}@%")
    return [row.name for row in rows if branch_of(row.name) == folder.name]  # SQLite's LIKE does not tell a from A


def existing_folders(uow: UnitOfWork) -> set[str]:
    """The ids of all folders that were not removed."""
    return {row.id for row in uow.all(_existing)}


def folder_of(uow: UnitOfWork, row: Row) -> Folder:
    """A row as others see it."""
    owners = user_names(uow, [row.created_by])
    return _folder(row, get_account(uow, row.account_id), owners.get(row.created_by, ""))


def _folder(row: Row, account: Account, owner: str) -> Folder:
    dotted = row.name.startswith(".")
    return Folder(
        id=row.id,
        name=row.name,
        full_name=f"{account.full_name}.{'/' if dotted else ''}{row.name}",
        account=account.full_name,
        account_id=account.id,
        organization_id=account.organization_id,
        owner=owner,
        created_at=row.created_at,
        staged=row.published_at is None,
    )


def _containing(text: str) -> str:
    """A pattern for what contains a text."""
    return f"%{_plain(text[:200].lower())}%"


def _plain(text: str) -> str:
    """A text for a pattern in which it stands for itself."""
    return re.sub(r"([\\\\%_])", r"\\\1", text)


def _find(uow: UnitOfWork, actor: Actor, ref: str, account: str | None) -> tuple[Row | None, Account | None]:
    """The row, and the account that was looked into."""
    if is_id(ref):
        return uow.one(_by_id, id=ref), None
    first, slash, dotted = ref.partition("./.")
    if slash:
        account, name = first, f".{dotted}"
    elif "." in ref[1:]:
        account, _, name = ref.rpartition(".")
    else:
        name = ref
    try:
        where = resolve_account(uow, actor, account)
    except NotFound:
        if name == ref:
            raise
        return None, None
    return uow.one(_by_name, account_id=where.id, name=name), where


def _no_such_folder(uow: UnitOfWork, actor: Actor, ref: str, where: Account | None) -> NotFound:
    hint = "`dais folder ls` lists those that you may use"
    if where is not None and may_see(uow, actor, "data:list", where.id):
        names = [row.name for row in uow.all(_names, account_id=where.id)]
        near = difflib.get_close_matches(ref[:200].rpartition(".")[2], names, 1)
        makes = f"{hint}, `dais folder new {ref[:80]}` makes one in {where.full_name}"
        hint = f"did you mean {near[0]}?" if near else makes
    return NotFound(f"there is no folder {shown(ref)}; {hint}", code="no-such-folder", folder=ref[:200])
