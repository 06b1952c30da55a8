"""A job's log while it runs, when it moves into the blob store, and from its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dais.compute import JobLog, Position, Slice, job_log, position_from
from dais.compute.feeds import Feed
from dais.compute.logs import decode_frames, encode_frames, parse_cursor
from dais.engines.contract import STDERR, STDOUT, SYSTEM, Frame
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import Invalid
from tests.support.world import PATIENCE, World, running

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    return World(database, clock, tmp_path)


async def log_of(world: World, job_id: str) -> JobLog:
    found: JobLog = await world.db.read(job_log, world.actor, job_id)
    return found


async def read_from(world: World, job_id: str, position: Position | None) -> list[Slice]:
    assert world.compute is not None
    parts = []
    log = await log_of(world, job_id)
    while True:
        part = await world.compute.logbook.read(log, position, limit=16)
        parts.append(part)
        if part.eof:
            return parts
        position = part.position


def text(parts: list[Slice]) -> bytes:
    return b"".join(frame.data for part in parts for frame in part.frames)


async def test_a_cursor_of_a_live_log_holds_in_the_stored_one(world: World) -> None:
    script = [word for n in range(20) for word in ("print", f"line {n}", ";")]
    async with running(world):
        job_id = await world.submit(*script, "sleep", "60", ";", "print", "end")
        await world.state(job_id, "RUNNING")
        assert world.compute is not None
        live = await world.compute.logbook.read(await log_of(world, job_id), None, limit=1)
        assert not live.eof
        world.machine.advance(61)
        await world.finished(job_id)
        whole = text(await read_from(world, job_id, None))
        assert whole == b"".join(b"line %d\n" % n for n in range(20)) + b"end\n"
        head = b"".join(frame.data for frame in live.frames)
        assert head + text(await read_from(world, job_id, live.position)) == whole


async def test_a_follower_does_not_notice_the_move(world: World) -> None:
    async with running(world):
        job_id = await world.submit("print", "before", ";", "sleep", "60", ";", "print", "after")
        await world.state(job_id, "RUNNING")
        assert world.compute is not None
        seen = b""
        async for part in world.compute.logbook.follow(await log_of(world, job_id), None):
            seen += b"".join(frame.data for frame in part.frames)
            if seen == b"before\n":
                world.machine.advance(61)
        assert seen == b"before\nafter\n"
        assert (await world.job(job_id)).state == "SUCCEEDED"


async def test_who_follows_early_and_who_comes_late_get_all(world: World) -> None:
    async with running(world):
        job_id = await world.submit("print", "early", ";", "sleep", "60", ";", "print", "late")
        await world.state(job_id, "RUNNING")
        assert world.compute is not None
        book = world.compute.logbook

        async def follow() -> bytes:
            return text([part async for part in book.follow(await log_of(world, job_id), None)])

        first = [asyncio.create_task(follow()) for _ in range(5)]
        await asyncio.sleep(0)
        world.machine.advance(61)
        await world.finished(job_id)
        second = asyncio.create_task(follow())
        async with asyncio.timeout(PATIENCE):
            assert [await task for task in (*first, second)] == [b"early\nlate\n"] * 6
        assert not book._feeds._open, "nobody follows any more, so nobody looks out"


async def test_those_at_the_same_place_are_given_the_same_slice_and_news_are_read_anew(world: World) -> None:
    async with running(world):
        job_id = await world.submit("print", "early", ";", "sleep", "60", ";", "print", "late")
        await world.state(job_id, "RUNNING")
        assert world.compute is not None
        feed = Feed(world.compute.logbook, await log_of(world, job_id))
        one, other = await asyncio.gather(feed.read(Position(0)), feed.read(Position(0)))
        assert one is other is await feed.read(Position(0))
        assert text([one]) == b"early\n"
        under_way = asyncio.create_task(feed.read(one.position))
        await asyncio.sleep(0)
        bell = feed.bell
        world.machine.advance(61)
        feed._ring()
        await feed.wait(bell)
        assert text([await feed.read(one.position)]) == b"late\n", "not what was being read before it was printed"
        await under_way


async def test_a_follower_goes_on_with_the_next_run(world: World) -> None:
    async with running(world):
        job_id = await world.submit("env", "DAIS_RUN_INDEX", ";", "sleep", "60", restartable=True)
        await world.state(job_id, "RUNNING")
        assert world.compute is not None
        seen = b""
        crashed = False
        async for part in world.compute.logbook.follow(await log_of(world, job_id), None):
            seen += b"".join(frame.data for frame in part.frames)
            if not crashed:
                crashed = True
                world.machine.crash()
            elif seen == b"0\n1\n":
                world.machine.advance(61)
        assert seen == b"0\n1\n"


@pytest.mark.parametrize("lines, expected", [(0, b""), (1, b"line 9\n"), (3, b"line 7\nline 8\nline 9\n")])
async def test_the_last_lines(world: World, lines: int, expected: bytes) -> None:
    script = [word for n in range(10) for word in ("print", f"line {n}", ";")]
    async with running(world):
        job_id = await world.submit(*script, "sleep-forever")
        await world.state(job_id, "RUNNING")
        assert world.compute is not None
        for _ in range(2):
            frames, _, eof = await world.compute.logbook.tail(await log_of(world, job_id), None, lines)
            assert b"".join(frame.data for frame in frames) == expected
            await world.kill(job_id)
            await world.finished(job_id)
        assert eof


async def test_the_last_lines_of_one_stream(world: World) -> None:
    async with running(world):
        printed = [word for n in range(1, 4) for word in ("print", f"out {n}", ";")]
        complained = [word for n in range(1, 4) for word in ("error", f"error {n}", ";")]
        job_id = await world.submit(*printed, *complained, "sleep-forever")
        await world.state(job_id, "RUNNING")
        assert world.compute is not None
        log = await log_of(world, job_id)
        tail = world.compute.logbook.tail
        for stream, expected in ((STDOUT, b"out 2\nout 3\n"), (STDERR, b"error 2\nerror 3\n")):
            frames, _, _ = await tail(log, None, 2, stream=stream)
            assert b"".join(frame.data for frame in frames) == expected


async def test_a_log_that_was_cut_says_so(database: Database, clock: ManualClock, tmp_path: Path) -> None:
    world = World(database, clock, tmp_path, log_limit=10)
    async with running(world):
        job_id = await world.submit("print", "x" * 100)
        job = await world.finished(job_id)
        assert job.runs[0].log_truncated
        frames = [frame for part in await read_from(world, job_id, None) for frame in part.frames]
        assert frames[0].data == b"x" * 10
        assert frames[-1].stream == SYSTEM


async def test_frames_survive_their_encoding() -> None:
    frames = [Frame(n, 1 + n % 2, bytes(range(n))) for n in range(40)]
    raw = encode_frames(frames)
    assert decode_frames(raw, 0, 1 << 20) == (frames, len(raw))
    assert decode_frames(raw[:-1], 0, 1 << 20)[0] == frames[:-1]


@pytest.mark.parametrize("cursor", ["", "0", "0:0", "a:b:c", "0:0:-1", "0:x1:0", "9" * 20 + ":0:0", "0:0:0\n"])
async def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid, match="not `run:segment:offset`"):
        parse_cursor(cursor)
    assert position_from("3:e1:25", None) == Position(3, True, 1, 25)
    assert str(Position(3, True, 1, 25)) == "3:e1:25"
