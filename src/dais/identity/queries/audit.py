"""Reading the audit log, and forgetting what is old."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, and_, bindparam, delete, or_, select

from dais.identity.rules import visible
from dais.identity.seeing import conditions, matching, pattern_values
from dais.identity.statements import actions_of
from dais.identity.tables import audit
from dais.identity.types import Actor, AuditEntry
from dais.kit.clock import SECOND
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.kit.errors import Invalid
from dais.kit.ids import is_id
from dais.kit.paging import Page, check_limit, decode_cursor, encode_cursor

BATCH = 1_000
"""Entries that are forgotten in one unit."""
DAY = 86_400 * SECOND

_oldest = select(audit.c.id, audit.c.at).order_by(audit.c.id).limit(BATCH).subquery()
# The ids sort by time, so that the oldest are found without reading the rest.
_expire = Statement(delete(audit).where(audit.c.id.in_(select(_oldest.c.id).where(_oldest.c.at < bindparam("before")))))


def list_audit(
    uow: UnitOfWork,
    actor: Actor,
    *,
    user: str | None = None,
    action: str | None = None,
    urn: str | None = None,
    allowed: bool | None = None,
    since: int | None = None,
    until: int | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[AuditEntry]:
    """What was done and refused, the newest first, as far as the actor may know.

    An organization's administrators see what concerned its things, the installation's everything, and everybody what
    they did themselves (with all of their rights: not by a role's key, nor a narrowed token). `user` is an id, a full
    name `org.user`, or a name in the actor's organization; `action` and `urn` may hold `*`; `since` (included) and
    `until` (not) are in µs. Raises Invalid `unknown-action`, `bad-limit`, `bad-cursor`.
    """
    check_limit(limit)
    values: dict[str, Any] = dict(visible(uow, actor, "audit:list", holder=None).values)
    if actor.role_id is None and actor.narrowed is None and values:
        values["own_id"] = actor.id
    if user is not None:
        values["user_id" if is_id(user) else "user_name"] = user if "." in user or is_id(user) else _full(actor, user)
    if action is not None:
        values["actions"] = sorted(actions_of(action))
        if not values["actions"]:
            raise Invalid(
                f"there is no action {action[:80]!r}; `dais rule actions` lists them all",
                code="unknown-action",
                action=action[:80],
            )
    if urn is not None:
        values["urn"] = pattern_values([(None, urn[:1024])], uow.dialect)
    for name, value in (("allowed", allowed), ("since", since), ("until", until)):
        if value is not None:
            values[name] = int(value)
    if cursor is not None:
        (values["before"],) = decode_cursor(cursor, tuple[str])
    rows = uow.all(_page(frozenset(values)), limit=limit + 1, **values)
    items = [_entry(row) for row in rows[:limit]]
    return Page(items, encode_cursor(items[-1].id) if len(rows) > limit else None)


def expire_audit(uow: UnitOfWork, days: int) -> int:
    """Forget some of the entries that are older than so many days; how many. 0 days: none ever."""
    return uow.run(_expire, before=uow.now - days * DAY) if days else 0


_filters: dict[str, ColumnElement[bool]] = {
    "user_id": audit.c.user_id == bindparam("user_id"),
    "user_name": audit.c.user_name == bindparam("user_name"),
    "actions": in_list(audit.c.action, "actions"),
    "urn": matching(audit.c.urn, audit.c.organization_id, "urn"),
    "allowed": audit.c.allowed == bindparam("allowed"),
    "since": audit.c.at >= bindparam("since"),
    "until": audit.c.at < bindparam("until"),
    "before": audit.c.id < bindparam("before"),
}


@functools.cache
def _page(shape: frozenset[str]) -> Statement:
    seen = and_(True, *conditions(shape, "audit", id=audit.c.id, organization=audit.c.organization_id))
    if "own_id" in shape:
        seen = or_(audit.c.user_id == bindparam("own_id"), seen)
    wanted = [condition for name, condition in _filters.items() if name in shape]
    return Statement(select(audit).where(seen, *wanted).order_by(audit.c.id.desc()).limit(bindparam("limit")))


def _full(actor: Actor, name: str) -> str:
    return f"{actor.organization}.{name}"


def _entry(row: Row) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=row.at,
        organization_id=row.organization_id,
        user_id=row.user_id,
        user=row.user_name,
        token_id=row.token_id,
        role_id=row.role_id,
        action=row.action,
        urn=row.urn,
        allowed=bool(row.allowed),
        address=row.address,
        detail=msgspec.json.decode(row.detail) if row.detail is not None else {},
    )
