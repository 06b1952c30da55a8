"""Metadata: tags and key-values on any entity, and queries."""

from __future__ import annotations

from typing import Any

from dais.api.context import Context
from dais.api.kinds import kind_named
from dais.api.routing import Routes
from dais.kit.clock import to_rfc3339
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid
from dais.provenance import Described, count_found, delete_meta, find, get_meta, update_meta
from dais.wire import answers
from dais.wire.meta import MAX_CONDITIONS, Condition, Counted, Meta, MetaChange, MetaRemoved, Query
from dais.wire.query import QueryError, parse_order, parse_query

routes = Routes()

FEW = 20
"""Answers up to here are looked for at once."""

READS = ("file:get", "fileset:get", "data:get", "job:get", "image:get", "user:get")
WRITES = ("file:set", "fileset:set", "data:set", "job:set", "image:set", "user:set")


@routes.get("/v1/meta", summary="Show the metadata of entities", action=READS)
async def show(ctx: Context, kind: str, ref: list[str], account: str | None = None) -> answers.Page[Meta]:
    """`kind` is file, fileset, folder, job, image or user; `ref`, up to 1,000 times, what is meant: `/a.txt:3`."""
    found = await ctx.db.read(get_meta, ctx.actor, kind_named(kind), ref, account=account)
    return answers.Page(items=[meta_answer(one) for one in found])


@routes.patch("/v1/meta", summary="Set tags and key-values of an entity", max_body=1 << 20, action=WRITES)
async def change(ctx: Context, kind: str, ref: str, body: MetaChange, account: str | None = None) -> Meta:
    """Others stay. A value is a text, a number, true, false, or `{"instant": "2026-01-31T12:00:00Z"}`."""
    found: Described = await ctx.db.write(_changed, ctx.actor, kind_named(kind), ref, body, account)
    return meta_answer(found)


@routes.delete("/v1/meta", summary="Remove tags and keys of an entity", action=WRITES)
async def remove(
    ctx: Context,
    kind: str,
    ref: str,
    tag: list[str] | None = None,
    key: list[str] | None = None,
    account: str | None = None,
) -> MetaRemoved:
    """`tag` and `key` may be given several times; what is not there is no error."""
    found = kind_named(kind)
    gone = await ctx.db.write(delete_meta, ctx.actor, found, ref, tags=tag or (), keys=key or (), account=account)
    return MetaRemoved(tags=gone.tags, keys=gone.keys)


@routes.post("/v1/find", summary="Find entities by conditions", max_body=1 << 20, action=READS)
async def find_entities(ctx: Context, body: Query) -> answers.Page[Meta]:
    """The entities of an account that meet all conditions of `where`, and that you may see."""
    return await _found(ctx, body)


@routes.get("/v1/find", summary="Find entities by a written query", action=READS)
async def find_written(
    ctx: Context,
    kind: str,
    q: str = "",
    account: str | None = None,
    order: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> answers.Page[Meta]:
    """`q` is as people write it: `model=cnn max(accuracy) size>10MiB`."""
    name = kind_named(kind).name
    order = parse_order(order, name) if order else None
    where = written(q, name)
    query = Query(kind=name, where=where, account=account, order=order, limit=limit, cursor=cursor)
    return await _found(ctx, query)


@routes.post("/v1/find/count", summary="Count entities by conditions", max_body=1 << 20, action=READS)
async def count(ctx: Context, body: Query) -> Counted:
    """Up to a million; order, limit and cursor do not matter."""
    kind = kind_named(body.kind)
    return Counted(count=await ctx.db.read(count_found, ctx.actor, kind, body.where, account=body.account))


def written(text: str, kind: str) -> tuple[Condition, ...]:
    """The conditions of a written query. Raises Invalid `bad-query`, which points at the place."""
    try:
        return parse_query([text], kind)
    except QueryError as error:
        raise Invalid(str(error), code="bad-query", at=error.at) from error


def has_pattern(one: Condition, depth: int = 0) -> bool:
    """Whether it is, or holds, a regular expression, or is more than a query may be."""
    parts = (*one.any, *one.all)
    if one.op == "~" or depth > MAX_CONDITIONS or len(parts) > MAX_CONDITIONS:
        return True
    return any(has_pattern(part, depth + 1) for part in parts)


def meta_answer(found: Described) -> Meta:
    """What is known of an entity as the API tells it."""
    return Meta(
        kind=found.kind,
        id=found.id,
        ref=found.ref,
        account=found.account,
        created_by=found.created_by,
        created_at=to_rfc3339(found.created_at),
        system=found.system,
        values=found.values,
        tags=list(found.tags),
    )


async def _found(ctx: Context, query: Query) -> answers.Page[Meta]:
    few = query.limit <= FEW or any(one.op in ("max", "min") for one in query.where)
    plain = not any(has_pattern(one) for one in query.where)  # matched in Python, whose time nothing bounds
    page = await (ctx.db.glance if few and plain else ctx.db.read)(
        find,
        ctx.actor,
        kind_named(query.kind),
        query.where,
        account=query.account,
        order=query.order,
        limit=query.limit,
        cursor=query.cursor,
    )
    return answers.Page(items=[meta_answer(one) for one in page.items], cursor=page.cursor)


def _changed(uow: UnitOfWork, actor: Any, kind: Any, ref: str, body: MetaChange, account: str | None) -> Described:
    update_meta(uow, actor, kind, ref, tags=body.tags, values=body.values, account=account)
    (found,) = get_meta(uow, actor, kind, [ref], account=account)
    return found
