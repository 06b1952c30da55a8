"""Which contents the data lake needs: what collection must leave alone."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from dais.data.lake.tables import file_versions
from dais.kit.database import Row, Statement, UnitOfWork

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
