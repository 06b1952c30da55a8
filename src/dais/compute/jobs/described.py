"""Jobs as a kind of entities that have metadata: what a job tells of itself."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from sqlalchemy import BigInteger, Float, String, cast, func, select

from dais.compute.jobs.queries import find_job
from dais.compute.jobs.tables import jobs
from dais.identity import Actor
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid
from dais.provenance import COMMON, Entity, Kind, check_key, check_word, delete_meta, set_values, stored
from dais.wire.meta import Value
from dais.wire.query import parse_value

_rows = (
    select(
        jobs.c.id,
        jobs.c.account_id,
        jobs.c.id.label("resource"),
        cast(jobs.c.number, String).label("ref"),
        func.coalesce(jobs.c.name, "").label("full_path"),
        jobs.c.owner_id.label("created_by"),
        jobs.c.owner_id.label("creator_id"),
        jobs.c.created_at,
        jobs.c.created_at.label("create_time"),
        jobs.c.number,
        jobs.c.state,
        jobs.c.reason,
        jobs.c.group_name.label("group"),
        jobs.c.image,
        (cast(jobs.c.cpu_millis, Float) / 1000).label("cpu"),
        jobs.c.mem,
        jobs.c.gpu,
        (cast(jobs.c.ended_at - jobs.c.started_at, Float) / 1_000_000).label("duration"),
        jobs.c.exit_code,
        cast(jobs.c.started_at, BigInteger).label("started"),
        cast(jobs.c.ended_at, BigInteger).label("ended"),
    )
    .select_from(jobs)
    .subquery("facts")
)


def _find(uow: UnitOfWork, actor: Actor, ref: str, account: str | None, action: str) -> Entity:
    row = find_job(uow, actor, ref, account=account, action=action)
    return Entity(id=row.id, account_id=row.account_id)


JOB = Kind(
    "job",
    "job",
    _rows,
    {
        **COMMON,
        "__number__": "number",
        "__state__": "text",
        "__reason__": "text",
        "__group__": "text",
        "__image__": "text",
        "__cpu__": "number",
        "__mem__": "number",
        "__gpu__": "number",
        "__duration__": "number",
        "__exit_code__": "number",
        "__started__": "instant",
        "__ended__": "instant",
    },
    _find,
)
"""A job, by its number, id or name. `__cpu__` is in cores, `__mem__` in bytes, `__duration__` in seconds of the run."""


def describe_tags(uow: UnitOfWork, job_id: str, account_id: str, tags: Mapping[str, str]) -> None:
    """Let a job be found by the tags of its specification: `NAME=value` as a key-value, a word alone as a tag.

    One that cannot be metadata (`__state__`, more than 128 bytes) is left out: it is still listed by `dais job ls`.
    """
    if not tags:
        return
    values, words = _as_meta(tags)
    set_values(uow, JOB.name, job_id, account_id, values, tags=words)


def forget_tags(uow: UnitOfWork, actor: Actor, job_id: str, tags: Mapping[str, str]) -> None:
    """Take back what `describe_tags` told of tags that a job had. Raises Forbidden (`job:set`)."""
    values, words = _as_meta(tags)
    if values or words:
        delete_meta(uow, actor, JOB, job_id, keys=list(values), tags=words)


def _as_meta(tags: Mapping[str, str]) -> tuple[dict[str, Value], list[str]]:
    values: dict[str, Value] = {}
    words: list[str] = []
    for name, text in tags.items():
        with suppress(Invalid):
            if text:
                value = parse_value(text)
                stored(value, check_key(name))
                values[name] = value
            else:
                words.append(check_word(name, "tag"))
    return values, words
