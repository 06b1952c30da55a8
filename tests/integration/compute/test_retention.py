"""Logs expire, by age and by bytes; what nothing needs any more is removed, and nothing else; on both databases."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from dais.compute import (
    LogLimitsChange,
    Retention,
    collect_blobs,
    decode_segments,
    get_log_limits,
    job_log,
    list_log_limits,
    remove_job,
    retry_job,
    set_log_limits,
)
from dais.compute.jobs.tables import runs
from dais.data import pin_source, store_source
from dais.identity import Actor, authenticate, create_account, create_token, create_user, grant_account
from dais.kit.clock import ManualClock
from dais.kit.database import Database, Statement, UnitOfWork
from dais.kit.errors import Forbidden, Invalid, Unavailable
from dais.wire.transfers import SourceFile, SourceManifest
from tests.support.world import World, running

pytestmark = pytest.mark.anyio

DAY = 86_400.0
LATER = 2 * DAY
"""Seconds after which the blob store lets go of what nobody asked for."""


@pytest.fixture
def make(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    return World(database, clock, tmp_path)


async def printed(world: World, words: str, **fields: Any) -> str:
    return (await world.finished(await world.submit("print", words, **fields))).id


async def log_of(world: World, job_id: str) -> str:
    assert world.compute is not None
    log, text, position = await world.db.read(job_log, world.actor, job_id), b"", None
    while True:
        part = await world.compute.logbook.read(log, position)
        text += b"".join(frame.data for frame in part.frames)
        if part.eof:
            return text.decode()
        position = part.position


async def expire(world: World, **settings: Any) -> int:
    world.settings = type(world.settings)(**{"log_days": 0, **settings})
    return await Retention(world.db, world.blobs, world.settings).expire()


def stored(uow: UnitOfWork) -> set[str]:
    rows = uow.all(Statement(runs.select().with_only_columns(runs.c.log_segments)))
    return {segment.digest for row in rows for segment in decode_segments(row.log_segments)}


async def test_a_log_expires_by_its_age_and_says_so(make: World) -> None:
    world = make
    async with running(world):
        old = await printed(world, "old")
        world.clock.advance(8 * DAY)
        young = await printed(world, "young")
        assert await expire(world, log_days=9) == 0
        assert await expire(world) == 0, "0 is no limit"
        assert await expire(world, log_days=7) == 1
        assert await expire(world, log_days=7) == 0, "once"
        assert await log_of(world, young) == "young\n"
        words = await log_of(world, old)
        assert words.startswith("the log of run 0 expired on 20")
        (run,) = (await world.job(old)).runs
        assert run.log_expired_at is not None
        assert run.log_bytes
        assert words.split("expired on ")[1].startswith(run.log_expired_at[:10])
        assert (await world.job(young)).runs[0].log_expired_at is None


async def test_a_run_after_an_expired_one_keeps_its_log(make: World) -> None:
    world = make
    async with running(world):
        job_id = await printed(world, "first")
        world.clock.advance(2 * DAY)
        await world.db.write(retry_job, world.actor, job_id, world.settings)
        await world.finished(job_id)
        assert await expire(world, log_days=1) == 1
        assert await log_of(world, job_id) == "first\n", "the latest run's"
        first, second = (await world.job(job_id)).runs
        assert first.log_expired_at is not None
        assert second.log_expired_at is None


async def test_the_oldest_go_first_when_there_are_too_many_bytes(make: World) -> None:
    world = make
    async with running(world):
        made = []
        for number in range(4):
            made.append(await printed(world, f"{number}" * 100))
            world.clock.advance(1)
        each = (await world.job(made[0])).runs[0].log_bytes or 0
        assert await expire(world, log_bytes=4 * each) == 0
        assert await expire(world, log_bytes=2 * each + 1) == 2
        gone = [(await world.job(job_id)).runs[0].log_expired_at is not None for job_id in made]
        assert gone == [True, True, False, False]


async def test_an_account_has_limits_of_its_own(make: World) -> None:
    world = make
    keeper = await world.db.write(create_account, world.actor, "keeper")
    member = await user(world, "mia")
    await world.db.write(grant_account, world.actor, keeper.id, member.id)
    with pytest.raises(Forbidden):
        await world.db.write(set_log_limits, member, "keeper", LogLimitsChange(days=1))
    with pytest.raises(Invalid, match="-1 days"):
        await world.db.write(set_log_limits, world.actor, "keeper", LogLimitsChange(days=-1))
    await world.db.write(set_log_limits, world.actor, "keeper", LogLimitsChange(days=0))
    async with running(world):
        kept = await printed(world, "kept", account="keeper")
        other = await printed(world, "other")
        world.clock.advance(10 * DAY)
        assert await expire(world, log_days=1) == 1
        assert (await world.job(kept)).runs[0].log_expired_at is None
        assert (await world.job(other)).runs[0].log_expired_at is not None
        await world.db.write(set_log_limits, world.actor, "keeper", LogLimitsChange(bytes=5))
        assert (await world.db.read(get_log_limits, keeper.id)).days == 0, "what is not named stays"
        newest = await printed(world, "newest", account="keeper")
        assert await expire(world, log_days=1) == 2, "both are over 5 bytes together, and the newest alone is"
        assert (await world.job(newest)).runs[0].log_expired_at is not None
        await world.db.write(set_log_limits, world.actor, "keeper", LogLimitsChange(days=None, bytes=None))
        assert await world.db.read(list_log_limits, [keeper.id]) == {}


async def user(world: World, name: str) -> Actor:
    made = await world.db.write(create_user, world.actor, name)
    token = await world.db.write(create_token, world.actor, user_id=made.id)
    found: Actor = (await world.db.read(authenticate, token.secret)).actor
    return found


def source(world: World, **files: bytes) -> str:
    """A source with these files; its digest."""
    made = [
        SourceFile(path=name, size=len(data), digest=world.blobs.put(data), executable=False)
        for name, data in files.items()
    ]
    return store_source(world.blobs, SourceManifest(files=made, links=[], directories=[])).digest


async def test_what_is_needed_stays_and_the_rest_is_removed(make: World) -> None:
    world = make
    async with running(world):
        kept = source(world, a=b"shared", b=b"of the kept one")
        gone = source(world, a=b"shared", c=b"of the removed one")
        stray = world.blobs.put(b"nobody's")
        await printed(world, "a log", source=kept)
        removed = await printed(world, "another log", source=gone)
        (*_, logs_before) = [await world.db.read(stored)]
        await world.db.write(remove_job, world.actor, removed)
        assert await collect_blobs(world.db, world.blobs) == 0, "what is younger than a day is not even looked at"
        assert world.blobs.has(stray)
        now = time.time() + LATER
        assert await collect_blobs(world.db, world.blobs, now=now) > 0
        logs = await world.db.read(stored)
        assert len(logs_before) == 2
        assert len(logs) == 1
        assert not world.blobs.missing([kept, *logs, digest_of(world, b"shared"), digest_of(world, b"of the kept one")])
        left = {gone, stray, *(logs_before - logs), digest_of(world, b"of the removed one")}
        assert left - left.difference(world.blobs.missing(left)) == left
        assert await collect_blobs(world.db, world.blobs, now=now) == 0


def digest_of(world: World, data: bytes) -> str:
    from dais.data.hashing import digest_of as digest

    return digest(data)


async def test_an_expired_log_is_freed(make: World) -> None:
    world = make
    async with running(world):
        await printed(world, "to be freed")
        (log,) = await world.db.read(stored)
        world.clock.advance(2 * DAY)
        await collect_blobs(world.db, world.blobs, now=time.time() + LATER)
        assert world.blobs.size(log) > 0
        await expire(world, log_days=1)
        await collect_blobs(world.db, world.blobs, now=time.time() + LATER)
        assert world.blobs.missing([log]) == [log]


async def test_a_damaged_source_stops_the_collection(make: World) -> None:
    world = make
    async with running(world):
        digest = source(world, a=b"content")
        await printed(world, "x", source=digest)
        path = world.blobs.path(digest)
        path.chmod(0o644)
        path.write_bytes(b"damaged")
        stray = world.blobs.put(b"nobody's")
        with pytest.raises(Unavailable):
            await collect_blobs(world.db, world.blobs, now=time.time() + LATER)
        assert world.blobs.has(stray), "nothing is removed when it is not known what is needed"


async def test_a_source_that_is_used_again_stays_with_its_contents(make: World) -> None:
    world = make
    digest = await asyncio.to_thread(source, world, a=b"content")
    content = world.blobs.path(digest_of(world, b"content"))
    old = time.time() - LATER
    for path in (world.blobs.path(digest), content):
        os.utime(path, (old, old))
    assert pin_source(world.blobs, digest)
    assert content.stat().st_mtime > old + DAY
    assert world.blobs.collect([]) == 0
    os.utime(content, (old, old))
    assert pin_source(world.blobs, digest)
    assert content.stat().st_mtime == pytest.approx(old), "not looked into again within the hour"
    assert not pin_source(world.blobs, digest_of(world, b"never stored"))
