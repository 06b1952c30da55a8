"""What somebody may list, as conditions of queries: one page of what they may see costs one query.

A query is made for a *shape*, the set of parameters that its conditions take; there are few, so each is compiled once:

    seen = visible(uow, actor, "job:get")
    rows = uow.all(_page(seen.shape), limit=51, **seen.values)

    @functools.cache
    def _page(shape: frozenset[str]) -> Statement:
        return Statement(select(jobs).where(*conditions(shape, "job", id=jobs.c.id, account=jobs.c.account_id)) …)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Boolean, ColumnElement, Text, bindparam, exists, false, literal, or_, select
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
        values[f"{prefix}_patterns"] = [
            [organization_id, _for_database(pattern, dialect)] for organization_id, pattern in seen.patterns
        ]
    return values or {f"{prefix}_nothing": ""}


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
    named, text = columns.id, organization
    if columns.holder is not None:
        holder, holder_id = columns.holder
        named, text = holder_id.concat(":").concat(named), text.concat(f":{holder}:").concat(holder_id)
    if what == "names":
        return in_list(named, name)
    return _matches(text.concat(f":{columns.kind}:").concat(columns.id), organization, name)


def _of_account(
    name: str,
    what: str,
    kind: str,
    id: ColumnElement[str],  # noqa: A002
    account: ColumnElement[str],
) -> ColumnElement[bool]:
    if what == "organizations":
        return account.in_(select(accounts.c.id).where(in_list(accounts.c.organization_id, name)))
    if what == "accounts":
        return account.in_(select(account_ancestors.c.account_id).where(in_list(account_ancestors.c.ancestor_id, name)))
    above = account_ancestors.c.ancestor_id
    its_own = account_ancestors.c.account_id == account
    named = above if kind == "account" else above.concat(":").concat(id)
    if what == "names":
        return exists(select(literal(1)).where(its_own, in_list(named, name)).correlate_except(account_ancestors))
    owner = accounts.alias()
    text = owner.c.organization_id.concat(":account:").concat(above)
    if kind != "account":
        text = text.concat(f":{kind}:").concat(id)
    return exists(
        select(literal(1))
        .select_from(account_ancestors.join(owner, owner.c.id == above))
        .where(its_own, _matches(text, owner.c.organization_id, name))
        .correlate_except(account_ancestors, owner)
    )


class _matches(FunctionElement[bool]):  # noqa: N801 (reads as an operator)
    """`_matches(urn, organization, "name")`: one of the pairs in the parameter matches."""

    inherit_cache = True
    name = "urn_matches"
    type = Boolean()

    def __init__(self, urn: ColumnElement[Any], organization: ColumnElement[Any], name: str) -> None:
        super().__init__(urn, organization, bindparam(name, type_=Text()))

    def self_group(self, against: Any = None) -> Any:
        """As it is; see `in_list`."""
        return self


@compiles(_matches, "sqlite")
def _matches_sqlite(element: _matches, compiler: SQLCompiler, **kw: Any) -> str:
    urn, organization, pairs = (compiler.process(clause, **kw) for clause in element.clauses)
    return (
        f"EXISTS (SELECT 1 FROM json_each({pairs}) AS pair WHERE "  # noqa: S608 (compiled parts, no user text)
        f"coalesce(json_extract(pair.value, '$[0]'), {organization}) = {organization} "
        f"AND {urn} GLOB json_extract(pair.value, '$[1]'))"
    )


@compiles(_matches, "postgresql")
def _matches_postgresql(element: _matches, compiler: SQLCompiler, **kw: Any) -> str:
    urn, organization, pairs = (compiler.process(clause, **kw) for clause in element.clauses)
    return (
        f"EXISTS (SELECT 1 FROM jsonb_array_elements(({pairs})::jsonb) AS pair WHERE "  # noqa: S608 (as above)
        f"coalesce(pair->>0, {organization}) = {organization} AND {urn} LIKE pair->>1)"
    )
