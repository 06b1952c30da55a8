"""Units of work over SQLite and PostgreSQL. See `docs/architecture.md` for why verbs are plain functions."""

from dais.kit.database.base import Database
from dais.kit.database.bounds import within
from dais.kit.database.failures import failures
from dais.kit.database.hints import Hint
from dais.kit.database.open import open_database
from dais.kit.database.statement import Statement, in_list
from dais.kit.database.tables import Document, Flag, Id, Instant, metadata, partial_index
from dais.kit.database.work import Event, Row, UnitOfWork

__all__ = [
    "Database",
    "Document",
    "Event",
    "Flag",
    "Hint",
    "Id",
    "Instant",
    "Row",
    "Statement",
    "UnitOfWork",
    "failures",
    "in_list",
    "metadata",
    "open_database",
    "partial_index",
    "within",
]
