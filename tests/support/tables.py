"""Looking at the rows of a table."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, select

from dais.kit.database import Database, Row, Statement, UnitOfWork


def rows(database: Database, table: Table) -> list[Row]:
    """Every row of a table."""

    def read(uow: UnitOfWork) -> Any:
        return uow.all(Statement(select(table)))

    found: list[Row] = database.read_sync(read)
    return found
