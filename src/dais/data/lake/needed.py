"""Which contents the data lake needs: what collection must leave alone."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam, select

from dais.data.lake.tables import file_versions, files
from dais.identity import get_account
from dais.kit.database import Row, Statement, UnitOfWork, in_list

PAGE = 5_000

_page = Statement(
    select(file_versions.c.id, file_versions.c.digest)
    .where(file_versions.c.id > bindparam("after"))
    .order_by(file_versions.c.id)
    .limit(PAGE)
)


def lake_digests(uow: UnitOfWork, after: str) -> list[Row]:
    """A page of the contents of file versions, by the versions' `id`; a version made meanwhile comes later."""
    return uow.all(_page, after=after)


_with_content = Statement(
    select(files.c.account_id, files.c.path, file_versions.c.version, file_versions.c.digest)
    .select_from(file_versions.join(files, files.c.id == file_versions.c.file_id))
    .where(in_list(file_versions.c.digest, "digests"))
    .order_by(files.c.path, file_versions.c.version)
    .limit(bindparam("limit"))
)


def versions_with(uow: UnitOfWork, digests: Collection[str], limit: int) -> list[tuple[str, str]]:
    """The versions of files that have one of these contents: `org.account:/path:version`, and the digest."""
    rows = uow.all(_with_content, digests=list(digests), limit=limit)
    names = {account_id: get_account(uow, account_id).full_name for account_id in {row.account_id for row in rows}}
    return [(f"{names[row.account_id]}:{row.path}:{row.version}", row.digest) for row in rows]
