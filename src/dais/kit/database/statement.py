"""SQL that is written once with SQLAlchemy Core, compiled once per dialect, and run on the driver itself.

Compiling (or even looking up a cached compilation) on every call costs more than the insert it is for; so every
statement is a module-level constant with bind parameters, and never calls `.values()` per use.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Boolean, Integer, Text, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import SelectBase


@cache
def _dialect(name: str) -> Any:
    """How to write SQL for "sqlite" or "postgresql". Only what is used is imported: each takes 2 MB."""
    if name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.dialect(paramstyle="qmark")
    if name == "postgresql":
        from sqlalchemy.dialects.postgresql import psycopg

        return psycopg.dialect()  # type: ignore[no-untyped-call]
    raise KeyError(name)


@dataclass(slots=True)
class Compiled:
    """A statement's text for one dialect, the values of its constants, and what makes rows once they are known.

    `order` is the names of its parameters where they go by their place: on SQLite, which looks each name up anew.
    `writes`: it is no plain query; what is written as text may be anything.
    """

    sql: str
    constants: dict[str, Any]
    order: tuple[str, ...] | None
    writes: bool
    make: Any = None

    def bound(self, values: Mapping[str, Any]) -> Any:
        """The parameters as the driver takes them. Raises KeyError for one that is not there."""
        if self.constants:
            values = {**self.constants, **values}
        return values if self.order is None else [values[name] for name in self.order]

    def learn(self, description: Any) -> Any:
        """What makes a named tuple of a row, from now on."""
        row_type: Any = namedtuple("Row", [column[0] for column in description], rename=True)  # type: ignore[misc]
        self.make = row_type._make
        return self.make


class Statement:
    """A constant SQL statement. `suffix` is SQL that both dialects take after it, such as `ON CONFLICT DO NOTHING`.

    `numbers` is the column of a table that numbers its rows, of a statement for `UnitOfWork.insert`.
    """

    def __init__(self, element: Executable, *, suffix: str = "", numbers: str = "") -> None:
        self._element = element
        self._suffix = suffix
        self._numbers = numbers
        self._compiled: dict[str, Compiled] = {}

    def compiled(self, dialect: str) -> Compiled:
        """The statement for "sqlite" or "postgresql"; compiled at first use."""
        found = self._compiled.get(dialect)
        if found is None:
            found = self._compiled[dialect] = self._compile(dialect)
        return found

    def _compile(self, dialect: str) -> Compiled:
        compiler = self._element.compile(dialect=_dialect(dialect))  # type: ignore[attr-defined]
        assert isinstance(compiler, SQLCompiler)
        required = {name for bind, name in compiler.bind_names.items() if bind.required}
        # Lists of constants (`IN`) are written out now; what the caller gives later is a dummy here.
        expanded = compiler.construct_expanded_state(dict.fromkeys(required))
        constants = {name: value for name, value in expanded.parameters.items() if name not in required}
        parts = [expanded.statement, self._suffix]
        if self._numbers and dialect != "sqlite":  # which tells it anyway: to return it costs as much as the insert
            parts.append(f"RETURNING {self._numbers}")
        writes = not isinstance(self._element, SelectBase)
        order = None if expanded.positiontup is None else tuple(expanded.positiontup)
        return Compiled(" ".join(filter(None, parts)), constants, order, writes)


class in_list(FunctionElement[bool]):  # noqa: N801 (reads as an operator)
    """`in_list(column, "name")`: the column's value is in the list given as parameter `name`.

    One parameter whatever the length, so that the statement stays a constant. The list travels as JSON.
    """

    inherit_cache = True
    name = "in_list"
    type = Boolean()

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        super().__init__(column, bindparam(name, type_=Text()))

    def self_group(self, against: Any = None) -> Any:
        """As it is: `… IN (…) = 1`, which SQLAlchemy would write for SQLite, means the same and uses no index."""
        return self


@compiles(in_list, "sqlite")
def _in_list_sqlite(element: in_list, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 (compiled parts, no user text)


@compiles(in_list, "postgresql")
def _in_list_postgresql(element: in_list, compiler: SQLCompiler, **kw: Any) -> str:
    first = next(iter(element.clauses))
    column, values = (compiler.process(clause, **kw) for clause in element.clauses)
    cast = "::bigint" if isinstance(first.type, Integer) else ""
    return f"{column} IN (SELECT v{cast} FROM jsonb_array_elements_text(({values})::jsonb) AS v)"  # noqa: S608
