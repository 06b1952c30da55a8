"""Finding file sets, what they hold, and how two versions differ."""

from __future__ import annotations

import difflib
import functools
from typing import Any

from sqlalchemy import bindparam, select

from dais.data.lake.reading import file_of
from dais.data.lake.tables import file_set_entries, file_set_parents, file_set_versions, file_sets, file_versions
from dais.data.lake.types import LakeFile, SetVersion
from dais.identity import (
    Account,
    Actor,
    conditions,
    listed,
    may_see,
    require,
    resolve_account,
    user_names,
)
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.kit.errors import Invalid, NotFound
from dais.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from dais.wire.lake import FileChange, SetRef, parse_set
from dais.wire.paths import PathError, shown

SetRow = Any
"""A row of `_columns`."""

_columns = (
    file_set_versions.c.id,
    file_sets.c.id.label("set_id"),
    file_sets.c.account_id,
    file_sets.c.name,
    file_set_versions.c.version,
    file_set_versions.c.files,
    file_set_versions.c.size,
    file_set_versions.c.digest,
    file_set_versions.c.made_by,
    file_set_versions.c.made_by_id,
    file_set_versions.c.created_by,
    file_set_versions.c.created_at,
)
_joined = file_sets.join(file_set_versions, file_set_versions.c.set_id == file_sets.c.id)
_named = (file_sets.c.account_id == bindparam("account_id"), file_sets.c.name == bindparam("name"))
_latest = Statement(
    select(*_columns).select_from(_joined).where(*_named, file_set_versions.c.version == file_sets.c.latest)
)
_numbered = Statement(
    select(*_columns).select_from(_joined).where(*_named, file_set_versions.c.version == bindparam("version"))
)
_versions = Statement(
    select(*_columns)
    .select_from(_joined)
    .where(*_named, file_set_versions.c.version < bindparam("before"))
    .order_by(file_set_versions.c.version.desc())
    .limit(bindparam("limit"))
)
_names = Statement(
    select(file_sets.c.name)
    .where(file_sets.c.account_id == bindparam("account_id"))
    .order_by(file_sets.c.name)
    .limit(1000)
)
_parents = Statement(
    select(file_set_parents.c.set_version_id, file_sets.c.name, file_set_versions.c.version)
    .select_from(
        file_set_parents.join(file_set_versions, file_set_versions.c.id == file_set_parents.c.parent_version_id).join(
            file_sets, file_sets.c.id == file_set_versions.c.set_id
        )
    )
    .where(in_list(file_set_parents.c.set_version_id, "ids"))
    .order_by(file_sets.c.name, file_set_versions.c.version)
)
_entries = Statement(
    select(
        file_versions.c.id,
        file_versions.c.file_id,
        file_set_entries.c.path,
        file_versions.c.version,
        file_versions.c.digest,
        file_versions.c.size,
        file_versions.c.executable,
        file_versions.c.created_by,
        file_versions.c.created_at,
    )
    .select_from(file_set_entries.join(file_versions, file_versions.c.id == file_set_entries.c.file_version_id))
    .where(file_set_entries.c.set_version_id == bindparam("id"), file_set_entries.c.path > bindparam("after"))
    .order_by(file_set_entries.c.path)
    .limit(bindparam("limit"))
)
_END = 2**31 - 1


@functools.cache
def _page(shape: frozenset[str]) -> Statement:
    """Sets with their latest versions, by name and id; `shape` as `conditions` takes it, and `account_id`."""
    page = (
        select(*_columns)
        .select_from(_joined)
        .where(file_set_versions.c.version == file_sets.c.latest, file_sets.c.name > bindparam("after"))
        .where(*conditions(shape, "fileset", id=file_sets.c.name, account=file_sets.c.account_id))
        .order_by(file_sets.c.name, file_sets.c.id)
        .limit(bindparam("limit"))
    )
    return Statement(page.where(file_sets.c.account_id == bindparam("account_id")))


def get_file_set(
    uow: UnitOfWork, actor: Actor, name: str, *, account: str | None = None, action: str = "fileset:get"
) -> SetVersion:
    """The version that `name` or `name:2` means. Raises NotFound `no-such-fileset` with the nearest name, Forbidden."""
    where = resolve_account(uow, actor, account)
    return set_of(uow, where, find_set(uow, actor, where, _parsed(name), action))


def list_file_sets(
    uow: UnitOfWork, actor: Actor, *, account: str | None = None, limit: int = 100, cursor: str | None = None
) -> Page[SetVersion]:
    """The sets of an account that may be seen, by name, each with its latest version."""
    check_limit(limit)
    (after,) = decode_cursor(cursor, tuple[str]) if cursor is not None else ("",)
    where = resolve_account(uow, actor, account)
    seen = listed(uow, actor, "fileset:list", account_id=where.id)
    rows = uow.all(_page(seen.shape), **seen.values, account_id=where.id, after=after, limit=limit + 1)
    items = _sets_of(uow, where, rows[:limit])
    return Page(items, encode_cursor(items[-1].name) if len(rows) > limit else None)


def list_file_set_versions(
    uow: UnitOfWork, actor: Actor, name: str, *, account: str | None = None, limit: int = 100, cursor: str | None = None
) -> Page[SetVersion]:
    """The versions of a set, the newest first. Raises NotFound `no-such-fileset`, Forbidden."""
    check_limit(limit)
    (before,) = decode_cursor(cursor, tuple[int]) if cursor is not None else (_END,)
    where = resolve_account(uow, actor, account)
    found = find_set(uow, actor, where, SetRef(_parsed(name).name), "fileset:get")
    rows = uow.all(_versions, account_id=where.id, name=found.name, before=before, limit=limit + 1)
    items = _sets_of(uow, where, rows[:limit])
    return Page(items, encode_cursor(items[-1].version) if len(rows) > limit else None)


def list_file_set_files(
    uow: UnitOfWork, actor: Actor, name: str, *, account: str | None = None, limit: int = 100, cursor: str | None = None
) -> Page[LakeFile]:
    """The file versions that a version of a set holds, by path. Raises NotFound `no-such-fileset`, Forbidden.

    Their contents are asked for file by file, with `file:get`.
    """
    check_limit(limit)
    (after,) = decode_cursor(cursor, tuple[str]) if cursor is not None else ("",)
    where = resolve_account(uow, actor, account)
    found = find_set(uow, actor, where, _parsed(name), "fileset:get")
    rows = uow.all(_entries, id=found.id, after=after, limit=limit + 1)
    people = user_names(uow, {row.created_by for row in rows})
    items = [file_of(row, people.get(row.created_by, "")) for row in rows[:limit]]
    return Page(items, encode_cursor(items[-1].path) if len(rows) > limit else None)


def compare_file_sets(
    uow: UnitOfWork, actor: Actor, before: str, after: str, *, account: str | None = None
) -> list[FileChange]:
    """What is added, removed and changed from one version of a set to another, of the same set or not, by path."""
    where = resolve_account(uow, actor, account)
    old, new = (
        {row.path: row for row in entries_of(uow, find_set(uow, actor, where, _parsed(name), "fileset:get").id)}
        for name in (before, after)
    )
    changes = []
    for path in sorted(old.keys() | new.keys()):
        was, now = old.get(path), new.get(path)
        if was is not None and now is not None and was.id == now.id:
            continue
        changes.append(
            FileChange(
                change="added" if was is None else "removed" if now is None else "changed",
                path=path,
                before=was.version if was is not None else None,
                after=now.version if now is not None else None,
                size_before=was.size if was is not None else None,
                size_after=now.size if now is not None else None,
            )
        )
    return changes


def find_set(uow: UnitOfWork, actor: Actor | None, where: Account, ref: SetRef, action: str) -> SetRow:
    """The row of a version of a set, when `actor` (None: nobody asks) may do `action` with the set."""
    if ref.version is None:
        row = uow.one(_latest, account_id=where.id, name=ref.name)
    else:
        row = uow.one(_numbered, account_id=where.id, name=ref.name, version=ref.version)
    if actor is None:
        assert row is not None
        return row
    hidden = functools.partial(_no_such_set, uow, actor, where, ref)
    require(uow, actor, action, account_id=where.id, resource_id=ref.name, hidden=hidden)
    if row is None:
        raise hidden()
    return row


def entries_of(uow: UnitOfWork, set_version_id: str) -> list[Row]:
    """Every file version of a set version, by path."""
    return uow.all(_entries, id=set_version_id, after="", limit=_END)


def set_of(uow: UnitOfWork, where: Account, row: SetRow, *, new: bool = False) -> SetVersion:
    """A row as others see it."""
    (one,) = _sets_of(uow, where, [row], new=new)
    return one


def _sets_of(uow: UnitOfWork, where: Account, rows: list[SetRow], *, new: bool = False) -> list[SetVersion]:
    people = user_names(uow, {row.created_by for row in rows})
    parents: dict[str, list[str]] = {}
    for parent in uow.all(_parents, ids=[row.id for row in rows]):
        parents.setdefault(parent.set_version_id, []).append(f"{parent.name}:{parent.version}")
    return [
        SetVersion(
            id=row.id,
            set_id=row.set_id,
            name=row.name,
            version=row.version,
            account=where.full_name,
            account_id=where.id,
            organization_id=where.organization_id,
            files=row.files,
            size=row.size,
            digest=row.digest,
            made_by=row.made_by,
            made_by_id=row.made_by_id,
            created_by=people.get(row.created_by, ""),
            created_at=row.created_at,
            parents=tuple(parents.get(row.id, ())),
            new=new,
        )
        for row in rows
    ]


def _parsed(text: str) -> SetRef:
    try:
        return parse_set(text)
    except PathError as error:
        raise Invalid(str(error), code=error.code, name=text[:200]) from error


def _no_such_set(uow: UnitOfWork, actor: Actor, where: Account, ref: SetRef) -> NotFound:
    hint = "`dais fileset ls` lists what there is"
    if may_see(uow, actor, "fileset:list", where.id):
        known = uow.one(_latest, account_id=where.id, name=ref.name)
        names = [row.name for row in uow.all(_names, account_id=where.id)]
        near = difflib.get_close_matches(ref.name, names, 1)
        if known is not None:
            hint = f"the latest version is {known.version}; `dais fileset versions {ref.name}` lists all"
        elif near:
            hint = f"did you mean {near[0]}?"
    return NotFound(
        f"there is no file set {shown(str(ref))} in {where.full_name}; {hint}",
        code="no-such-fileset",
        fileset=str(ref)[:200],
    )
