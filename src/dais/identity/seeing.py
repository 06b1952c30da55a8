"""What somebody may list, as conditions of queries: one page of what they may see costs one query.

A query is made for a *shape*, the set of parameters that its conditions take; there are few, so each is compiled once:

    seen = visible(uow, actor, "job:get")
    rows = uow.all(_page(seen.shape), limit=51, **seen.values)

    @functools.cache
    def _page(shape: frozenset[str]) -> Statement:
        return Statement(select(jobs).where(*conditions(shape, "job", id=jobs.c.id, account=jobs.c.account_id)) …)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Boolean, ColumnElement, Text, and_, bindparam, exists, false, literal, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from dais.identity.evaluator import Seen
from dais.identity.tables import account_ancestors, accounts
from dais.kit.database import in_list


class Visible(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody may see of a type: the parameters that `conditions` of this `shape` take."""

    values: dict[str, Any]

    @property
    def shape(self) -> frozenset[str]:
        """The names of the parameters."""
        return frozenset(self.values)

    def named(self, before: str) -> dict[str, Any]:
        """The parameters under names that begin so."""
        return {f"{before}{name}": value for name, value in self.values.items()}

    @property
    def everything(self) -> bool:
        """Whether there is no condition at all."""
        return not self.values

    @property
    def nothing(self) -> bool:
        """Whether nothing can meet the conditions."""
        return any(name.endswith("_nothing") for name in self.values)


def as_visible(seen: Seen, narrowed: Seen | None, dialect: str) -> Visible:
    """Both must hold: what the actor's rules show, and what the token is narrowed to."""
    values = _values("see", seen, dialect)
    if narrowed is not None:
        values |= _values("narrow", narrowed, dialect)
    return Visible(values=values)


def conditions(
    shape: frozenset[str],
    kind: str,
    *,
    id: ColumnElement[str],  # noqa: A002
    account: ColumnElement[str] | None = None,
    organization: ColumnElement[str] | None = None,
    holder: tuple[str, ColumnElement[str]] | None = None,
    before: str = "",
) -> list[ColumnElement[bool]]:
    """The conditions on a table of things of type `kind`, for a `Visible` of this shape.

    Things that lie in accounts give `account`; things of an organization `organization` (a literal `installation` for
    what belongs to none), and below a team or user `holder`, its type and id; accounts themselves give `id` as
    `account`, too, and `kind="account"`. A query that asks for several gives each the names `before` which they begin
    with (`Visible.named`).
    """
    found = []
    columns = _Columns(kind, id, account, organization, holder)
    for prefix in (f"{before}see", f"{before}narrow"):
        names = {name for name in shape if name.startswith(f"{prefix}_")}
        if names:
            found.append(
                or_(false(), *(_one(name, name.removeprefix(f"{prefix}_"), columns) for name in sorted(names)))
            )
    return found


def _values(prefix: str, seen: Seen, dialect: str) -> dict[str, Any]:
    if seen.everything:
        return {}
    values: dict[str, Any] = {}
    for name in ("organizations", "accounts", "names"):
        if getattr(seen, name):
            values[f"{prefix}_{name}"] = sorted(getattr(seen, name))
    if seen.patterns:
        values[f"{prefix}_patterns"] = pattern_values(seen.patterns, dialect)
    return values or {f"{prefix}_nothing": ""}


def pattern_values(patterns: Iterable[tuple[str | None, str]], dialect: str) -> list[tuple[str | None, str]]:
    """Pairs of an organization (None: any) and a pattern, as the parameter of `matching`."""
    return [(organization_id, _for_database(pattern, dialect)) for organization_id, pattern in patterns]


def _for_database(pattern: str, dialect: str) -> str:
    if dialect == "sqlite":  # GLOB: `*` is ours already
        return pattern.replace("[", "[[]").replace("?", "[?]")
    for special in "\\%_":
        pattern = pattern.replace(special, f"\\{special}")
    return pattern.replace("*", "%")


@dataclass(frozen=True, slots=True)
class _Columns:
    """What `conditions` was given."""

    kind: str
    id: ColumnElement[str]
    account: ColumnElement[str] | None
    organization: ColumnElement[str] | None
    holder: tuple[str, ColumnElement[str]] | None


def _one(name: str, what: str, columns: _Columns) -> ColumnElement[bool]:
    """The condition of one parameter, `name`, that holds `what` of a `Seen`."""
    if what == "nothing":
        return bindparam(name, type_=Text()).is_(None)
    if columns.account is None:
        return _of_organization(name, what, columns)
    return _of_account(name, what, columns.kind, columns.id, columns.account)


def _of_organization(name: str, what: str, columns: _Columns) -> ColumnElement[bool]:
    organization = columns.organization
    assert organization is not None, columns.kind
    if what == "organizations":
        return in_list(organization, name)
    if what == "accounts":
        return false()
    holder_id: ColumnElement[str] = literal("")
    text = organization
    if columns.holder is not None:
        holder, holder_id = columns.holder
        text = text.concat(f":{holder}:").concat(holder_id)
    if what == "names":
        return among((organization, holder_id, columns.id), name)
    if columns.kind != "organization":
        text = text.concat(f":{columns.kind}:").concat(columns.id)
    return matching(text, organization, name)


def _of_account(
    name: str,
    what: str,
    kind: str,
    id: ColumnElement[str],  # noqa: A002
    account: ColumnElement[str],
) -> ColumnElement[bool]:
    """For what lies in accounts, and for accounts themselves: it goes by the name of each account above it."""
    if what == "organizations":
        return account.in_(select(accounts.c.id).where(in_list(accounts.c.organization_id, name)))
    owner = accounts.alias()
    above = account_ancestors.c.ancestor_id
    if what == "accounts":
        return account.in_(
            select(account_ancestors.c.account_id)
            .join(owner, owner.c.id == above)
            .where(among((owner.c.organization_id, owner.c.id), name))
        )
    its_own = (
        select(literal(1))
        .select_from(account_ancestors.join(owner, owner.c.id == above))
        .where(account_ancestors.c.account_id == account)
        .correlate_except(account_ancestors, owner)
    )
    if what == "names":
        parts = (literal(""), above) if kind == "account" else (above, id)
        named = exists(its_own.where(among((owner.c.organization_id, *parts), name)))
        # The ids alone let an index find what few names mean among many things.
        return named if kind == "account" else and_(among((id,), name, 2), named)
    text = owner.c.organization_id.concat(":account:").concat(above)
    if kind != "account":
        text = text.concat(f":{kind}:").concat(id)
    return exists(its_own.where(matching(text, owner.c.organization_id, name)))


class among(FunctionElement[bool]):  # noqa: N801 (reads as an operator)
    """`among((a, b), "name")`: the columns' values are one of the lists in the parameter, from its place `first` on."""

    inherit_cache = False
    name = "among"
    type = Boolean()

    def __init__(self, columns: tuple[ColumnElement[Any], ...], name: str, first: int = 0) -> None:
        super().__init__(*columns, bindparam(name, type_=Text()))
        self.places = range(first, first + len(columns))

    def self_group(self, against: Any = None) -> Any:
        """As it is; see `in_list`."""
        return self


@compiles(among, "sqlite")
def _among_sqlite(element: among, compiler: SQLCompiler, **kw: Any) -> str:
    *columns, lists = (compiler.process(clause, **kw) for clause in element.clauses)
    values = ", ".join(f"json_extract(value, '$[{place}]')" for place in element.places)
    return f"({', '.join(columns)}) IN (SELECT {values} FROM json_each({lists}))"  # noqa: S608 (compiled parts)


@compiles(among, "postgresql")
def _among_postgresql(element: among, compiler: SQLCompiler, **kw: Any) -> str:
    *columns, lists = (compiler.process(clause, **kw) for clause in element.clauses)
    values = ", ".join(f"v->>{place}" for place in element.places)
    return f"({', '.join(columns)}) IN (SELECT {values} FROM jsonb_array_elements(({lists})::jsonb) AS v)"  # noqa: S608


class matching(FunctionElement[bool]):  # noqa: N801 (reads as an operator)
    """`matching(urn, organization, "name")`: one of the pairs in the parameter matches."""

    inherit_cache = True
    name = "urn_matches"
    type = Boolean()

    def __init__(self, urn: ColumnElement[Any], organization: ColumnElement[Any], name: str) -> None:
        super().__init__(urn, organization, bindparam(name, type_=Text()))

    def self_group(self, against: Any = None) -> Any:
        """As it is; see `in_list`."""
        return self


@compiles(matching, "sqlite")
def _matches_sqlite(element: matching, compiler: SQLCompiler, **kw: Any) -> str:
    urn, organization, pairs = (compiler.process(clause, **kw) for clause in element.clauses)
    return (
        f"EXISTS (SELECT 1 FROM json_each({pairs}) AS pair WHERE "  # noqa: S608 (compiled parts, no user text)
        f"coalesce(json_extract(pair.value, '$[0]'), {organization}) = {organization} "
        f"AND {urn} GLOB json_extract(pair.value, '$[1]'))"
    )


@compiles(matching, "postgresql")
def _matches_postgresql(element: matching, compiler: SQLCompiler, **kw: Any) -> str:
    urn, organization, pairs = (compiler.process(clause, **kw) for clause in element.clauses)
    return (
        f"EXISTS (SELECT 1 FROM jsonb_array_elements(({pairs})::jsonb) AS pair WHERE "  # noqa: S608 (as above)
        f"coalesce(pair->>0, {organization}) = {organization} AND {urn} LIKE pair->>1)"
    )
