"""Freeing blobs that nothing needs any more: neither a job's source, nor a log, nor a version of a file.

What is needed is read first, and then what is not and was neither written nor asked for in 24 hours is removed. Whoever
makes something that needs an old blob asks for it before (`pin_source`), which keeps it for the next 24 hours.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec
from sqlalchemy import bindparam, select

from dais.compute.environments.tables import environments
from dais.compute.jobs.tables import jobs, runs
from dais.compute.logs import decode_segments
from dais.compute.provisioning.tables import templates
from dais.data import BlobStore, lake_digests, read_source
from dais.kit.database import Database, Row, Statement, UnitOfWork
from dais.kit.errors import DaisError

log = logging.getLogger(__name__)

PAGE = 1_000

_jobs = Statement(
    select(jobs.c.number, jobs.c.spec).where(jobs.c.number > bindparam("after")).order_by(jobs.c.number).limit(PAGE)
)
_templates = Statement(
    select(templates.c.number, templates.c.spec)
    .where(templates.c.number > bindparam("after"))
    .order_by(templates.c.number)
    .limit(PAGE)
)
_logs = Statement(
    select(runs.c.id, runs.c.log_segments)
    .where(runs.c.id > bindparam("after"), runs.c.log_segments.is_not(None), runs.c.log_segments != "[]")
    .order_by(runs.c.id)
    .limit(PAGE)
)
_builds = Statement(
    select(environments.c.id, environments.c.log_segments)
    .where(environments.c.id > bindparam("after"), environments.c.log_segments.is_not(None))
    .order_by(environments.c.id)
    .limit(PAGE)
)


_partials = Statement(
    select(runs.c.id, runs.c.partial)
    .where(runs.c.id > bindparam("after"), runs.c.partial.is_not(None), runs.c.partial != "")
    .order_by(runs.c.id)
    .limit(PAGE)
)


class _Sourced(msgspec.Struct):
    """What of a spec matters here."""

    source: str | None = None


_source = msgspec.json.Decoder(_Sourced)


async def collect_blobs(db: Database, blobs: BlobStore, *, now: float | None = None, dry_run: bool = False) -> int:
    """Remove what nothing needs; the bytes that became free, or with `dry_run` would. `now` is in seconds."""
    used = await needed(db, blobs)
    freed = await asyncio.to_thread(blobs.collect, used, now=now, dry_run=dry_run)
    if freed and not dry_run:
        log.info("blobs that nothing needs any more were removed", extra={"bytes": freed})
    return freed


async def needed(db: Database, blobs: BlobStore) -> set[str]:
    """The digests of all blobs that something needs.

    Raises Unavailable when a source cannot be read for another reason than that it is gone: then nothing is removed.
    """
    used: set[str] = set()
    for statement in (_logs, _builds):
        after = ""
        while rows := await db.read(_page, statement, after):
            after = rows[-1].id
            used.update(segment.digest for row in rows for segment in decode_segments(row.log_segments))
    sources: set[str] = set()
    # In the order of their numbers, so that what is submitted meanwhile is seen, too. Templates come first: jobs are
    # made of them.
    for statement in (_templates, _jobs):
        number = 0
        while rows := await db.read(_page, statement, number):
            number = rows[-1].number
            sources.update(found for row in rows if (found := _source.decode(row.spec).source) is not None)
    run = ""
    while rows := await db.read(_page, _partials, run):
        run = rows[-1].id
        sources.update(row.partial for row in rows)
    version = ""
    while rows := await db.read(lake_digests, version):
        version = rows[-1].id
        used.update(row.digest for row in rows)
    for digest in sources:
        used.add(digest)
        used.update(await asyncio.to_thread(_contents, blobs, digest))
    return used


def _contents(blobs: BlobStore, digest: str) -> list[str]:
    """The digests of a source's files; none of a source that is gone, or is none."""
    try:
        manifest = read_source(blobs, digest)
    except DaisError as error:
        if error.family == "unavailable":
            raise
        return []
    return [file.digest for file in manifest.files]


def _page(uow: UnitOfWork, statement: Statement, after: str | int) -> list[Row]:
    return uow.all(statement, after=after)
