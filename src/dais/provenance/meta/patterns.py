"""Regular expressions: matched in time that is linear in the text, over the different texts that there are.

The expression's matches become a list of texts, which both databases look up alike.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, bindparam, func, literal_column, select

from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import Invalid
from dais.provenance.meta.tables import meta_tags, meta_values
from dais.provenance.meta.types import Kind
from dais.provenance.meta.values import TEXT
from dais.wire.meta import MAX_PATTERN
from dais.wire.paths import shown

MOST_TEXTS = 100_000
"""Different texts that one expression is matched with."""

MOST_SECONDS = 5.0
_MEMORY = 8 << 20
_STEP = 1000


@functools.cache
def _different(kind: Kind, table: str) -> Statement:
    """The different texts of a key, or tags, each found by one step in the index."""
    rows = meta_tags if table == "tags" else meta_values
    column = rows.c.tag if table == "tags" else rows.c.text

    def least() -> Select[tuple[str]]:
        found = select(func.min(column).label("text")).where(
            kind.is_here(rows.c.account_id), rows.c.kind == bindparam("kind")
        )
        if table == "tags":
            return found
        return found.where(
            rows.c.key == bindparam("key"),
            rows.c.type == literal_column(str(TEXT)),
            rows.c.number == literal_column("0"),
        )

    found = least().cte("found", recursive=True)
    step = found.union_all(
        select(least().where(column > found.c.text).correlate(found).scalar_subquery()).where(found.c.text.is_not(None))
    )
    return Statement(select(step.c.text).where(step.c.text.is_not(None)).limit(bindparam("limit")))


@functools.cache
def _facts(kind: Kind, key: str) -> Statement:
    column = kind.column(key)
    return Statement(
        select(column.label("text"))
        .where(kind.is_here(kind.place), column.is_not(None))
        .distinct()
        .limit(bindparam("limit"))
    )


def texts_like(uow: UnitOfWork, kind: Kind, account_id: str, key: str, pattern: str) -> tuple[str, ...]:
    """The texts of a key (`tags`: tags) in which the expression is found.

    Raises Invalid `bad-pattern`, `too-many-texts`.
    """
    compiled = _compiled(pattern)
    wanted = {"account_id": account_id, "limit": MOST_TEXTS + 1}
    if key in kind.facts:
        rows = uow.all(_facts(kind, key), **wanted)
    elif key == "tags":
        rows = uow.all(_different(kind, "tags"), **wanted, kind=kind.name)
    else:
        rows = uow.all(_different(kind, "values"), **wanted, kind=kind.name, key=key)
    if len(rows) > MOST_TEXTS:
        raise _too_many(key)
    return tuple(_matching(compiled, key, (row.text for row in rows)))


def _matching(compiled: Any, key: str, texts: Iterable[str]) -> Iterable[str]:
    until = time.monotonic() + MOST_SECONDS
    for count, text in enumerate(texts):
        if count % _STEP == 0 and time.monotonic() > until:
            raise _too_many(key)
        if compiled.search(text) is not None:
            yield text


def _compiled(pattern: str) -> Any:
    if len(pattern) > MAX_PATTERN:
        raise Invalid(
            f"a regular expression has up to {MAX_PATTERN} characters, this one {len(pattern):,}", code="bad-pattern"
        )
    import re2  # 3 MB, and few ask in this way

    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        why = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise Invalid(
            f"{shown(pattern)} is no regular expression: {why}; the syntax is RE2's, without back references and "
            "look-around",
            code="bad-pattern",
            pattern=pattern,
        ) from None


def _too_many(key: str) -> Invalid:
    return Invalid(
        f"{shown(key)} has too many different texts for a regular expression (more than {MOST_TEXTS:,}, or "
        f"{MOST_SECONDS:g} seconds); compare it with = or a range",
        code="too-many-texts",
        key=key,
    )
