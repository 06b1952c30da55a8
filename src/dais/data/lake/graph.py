"""Versions of file sets by their ids, and how they hang together: what a graph of them is drawn from.

Whoever asks: the caller asks for permission.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam, select

from dais.data.lake.tables import file_set_entries, file_set_parents, file_set_versions, file_sets, file_versions, files
from dais.kit.database import Row, Statement, UnitOfWork, in_list

PAGE = 5_000

_columns = (
    file_set_versions.c.id,
    file_sets.c.account_id,
    file_sets.c.name,
    file_set_versions.c.version,
    file_set_versions.c.files,
    file_set_versions.c.size,
    file_set_versions.c.made_by,
    file_set_versions.c.made_by_id,
    file_set_versions.c.created_by,
    file_set_versions.c.created_at,
)
_joined = file_set_versions.join(file_sets, file_sets.c.id == file_set_versions.c.set_id)
_by_id = Statement(select(*_columns).select_from(_joined).where(in_list(file_set_versions.c.id, "ids")))
_page = Statement(
    select(*_columns)
    .select_from(_joined)
    .where(file_set_versions.c.id > bindparam("after"))
    .order_by(file_set_versions.c.id)
    .limit(PAGE)
)
_pair = (file_set_parents.c.set_version_id, file_set_parents.c.parent_version_id)
_parents = Statement(
    select(*_pair).where(in_list(file_set_parents.c.set_version_id, "ids")).order_by(*_pair).limit(bindparam("limit"))
)
_children = Statement(
    select(*_pair)
    .where(in_list(file_set_parents.c.parent_version_id, "ids"))
    .order_by(*_pair)
    .limit(bindparam("limit"))
)
_holding = Statement(
    select(file_set_entries.c.set_version_id)
    .where(file_set_entries.c.file_version_id == bindparam("id"))
    .order_by(file_set_entries.c.set_version_id)
    .limit(bindparam("limit"))
)
_files = Statement(
    select(
        file_versions.c.id,
        files.c.account_id,
        files.c.path,
        file_versions.c.version,
        file_versions.c.size,
        file_versions.c.created_by,
        file_versions.c.created_at,
    )
    .select_from(file_versions.join(files, files.c.id == file_versions.c.file_id))
    .where(in_list(file_versions.c.id, "ids"))
)


def set_versions(uow: UnitOfWork, ids: Collection[str]) -> dict[str, Row]:
    """Those of these versions of file sets that are there, by id."""
    return {row.id: row for row in uow.all(_by_id, ids=sorted(ids))} if ids else {}


def all_set_versions(uow: UnitOfWork, after: str) -> list[Row]:
    """A page of all versions of file sets, by id."""
    return uow.all(_page, after=after)


def set_parents(uow: UnitOfWork, ids: Collection[str], limit: int) -> list[tuple[str, str]]:
    """Pairs of one of these versions and a version that it was made of."""
    rows = uow.all(_parents, ids=sorted(ids), limit=limit)
    return [(row.set_version_id, row.parent_version_id) for row in rows]


def set_children(uow: UnitOfWork, ids: Collection[str], limit: int) -> list[tuple[str, str]]:
    """Pairs of one of these versions and a version that was made of it."""
    rows = uow.all(_children, ids=sorted(ids), limit=limit)
    return [(row.parent_version_id, row.set_version_id) for row in rows]


def sets_holding(uow: UnitOfWork, file_version_id: str, limit: int) -> list[str]:
    """The versions of file sets that hold a version of a file."""
    return [row.set_version_id for row in uow.all(_holding, id=file_version_id, limit=limit)]


def file_versions_by_id(uow: UnitOfWork, ids: Collection[str]) -> dict[str, Row]:
    """Those of these versions of files that are there, by id."""
    return {row.id: row for row in uow.all(_files, ids=sorted(ids))} if ids else {}
