"""Pages of members, of a team or a role: users and teams, by name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Table, bindparam, literal, or_, select, union_all

from dais.identity.tables import teams, users
from dais.identity.types import Member
from dais.kit.database import Statement, UnitOfWork
from dais.kit.paging import Page, check_limit, decode_cursor, encode_cursor


def members_statement(its_users: Table, its_teams: Table, holder: str, team: str) -> Statement:
    """The members of what has the id `holder` in two tables; `team` is the column of the teams that are members."""

    def of(table: Table, kind: str, members: Table, member: Column[Any]) -> Any:
        query = select(members.c.id, members.c.name, literal(kind).label("type"))
        return query.join(table, member == members.c.id).where(table.c[holder] == bindparam("holder_id"))

    both = union_all(
        of(its_users, "user", users, its_users.c.user_id), of(its_teams, "team", teams, its_teams.c[team])
    ).subquery()
    after: Any = bindparam("after")
    return Statement(
        select(both)
        .where(or_(both.c.name > after, (both.c.name == after) & (both.c.id > bindparam("after_id"))))
        .order_by(both.c.name, both.c.id)
        .limit(bindparam("limit"))
    )


def page_of(uow: UnitOfWork, statement: Statement, holder_id: str, limit: int, cursor: str | None) -> Page[Member]:
    """One page of members. Raises Invalid `bad-limit`, `bad-cursor`."""
    check_limit(limit)
    after = decode_cursor(cursor, tuple[str, str]) if cursor is not None else ("", "")
    rows = uow.all(statement, holder_id=holder_id, after=after[0], after_id=after[1], limit=limit + 1)
    items = [Member(id=row.id, name=row.name, type=row.type) for row in rows[:limit]]
    return Page(items, encode_cursor(items[-1].name, items[-1].id) if len(rows) > limit else None)
