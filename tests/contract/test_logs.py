"""Logs: exact cursors, streams apart, binary intact, an end that is told."""

from __future__ import annotations

import pytest

from dais.engines.contract import FRAME_HEAD, STDERR, STDOUT, SYSTEM, Engine, Frame, Limits
from dais.kit.ids import new_id
from tests.support.engines import Harness, Watcher, output, printed, read_log

pytestmark = pytest.mark.anyio


async def test_streams_are_told_apart(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    spec = harness.spec(("print", "out 1"), ("error", "err 1"), ("print", "out 2"), ("exit", "0"))
    [handle] = await engine.launch([spec])
    await watcher.over(spec.attempt_id)
    frames = await read_log(engine, handle)
    assert output(frames, STDOUT) == b"out 1\nout 2\n"
    assert output(frames, STDERR) == b"err 1\n"
    assert all(frame.time_ns > 1_600_000_000 * 10**9 for frame in frames)
    assert [frame.time_ns for frame in frames] == sorted(frame.time_ns for frame in frames)


async def test_output_is_bytes(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    every = bytes(range(256)) + b"\xff\xfe no newline at the end"
    spec = harness.spec(("hex", every.hex()), ("exit", "0"))
    [handle] = await engine.launch([spec])
    await watcher.over(spec.attempt_id)
    assert output(await read_log(engine, handle)) == every


async def test_any_page_size_gives_the_same_log(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    steps = [step for n in range(40) for step in (("print", f"line {n} " + "x" * n), ("error", f"e{n}"))]
    spec = harness.spec(*steps, ("exit", "0"))
    [handle] = await engine.launch([spec])
    await watcher.over(spec.attempt_id)
    whole = await read_log(engine, handle)
    for limit in (1, 7, 100, 1 << 16):
        pages = await read_log(engine, handle, limit=limit)
        assert output(pages, STDOUT) == output(whole, STDOUT)
        assert output(pages, STDERR) == output(whole, STDERR)


async def test_a_cursor_names_a_place_for_ever(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    spec = harness.spec(*(("print", f"line {n}") for n in range(20)), ("exit", "0"))
    [handle] = await engine.launch([spec])
    await watcher.over(spec.attempt_id)
    rests: list[tuple[str, list[Frame]]] = []
    cursor: str | None = None
    while True:
        chunk = await engine.logs(handle, cursor, limit=1)
        cursor = chunk.cursor
        rests = [(place, [*frames, *chunk.frames]) for place, frames in rests] + [(cursor, [])]
        if chunk.eof:
            break
    assert len(rests) > 1
    for place, rest in rests:
        assert (await engine.logs(handle, place)).frames == rest


async def test_every_frame_has_a_cursor_of_its_own(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    spec = harness.spec(("print", "a"), ("error", "bc"), ("print", "def"), ("error", ""), ("exit", "0"))
    [handle] = await engine.launch([spec])
    await watcher.over(spec.attempt_id)
    chunk = await engine.logs(handle, None)
    assert len(chunk.frames) >= 2
    assert not chunk.eof
    segment, offset = 0, 0
    for n, frame in enumerate(chunk.frames, 1):
        offset += FRAME_HEAD + len(frame.data)
        assert (await engine.logs(handle, f"{segment}:{offset}")).frames == chunk.frames[n:]
    assert chunk.cursor == f"{segment}:{offset}" == await engine.log_end(handle)
    assert (await engine.logs(handle, chunk.cursor)).eof


async def test_a_running_log_has_no_end(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    spec = harness.spec(("print", "first"), ("sleep-forever",))
    [handle] = await engine.launch([spec])
    await watcher.running(spec.attempt_id)
    await printed(engine, handle, b"first\n")
    chunk = await engine.logs(handle, None)
    assert not chunk.eof
    again = await engine.logs(handle, chunk.cursor)
    assert (again.frames, again.cursor, again.eof) == ([], chunk.cursor, False)
    await engine.stop(handle, grace=5, reason="user-request")
    await watcher.over(spec.attempt_id)
    last = await engine.logs(handle, chunk.cursor)
    assert (last.frames, last.eof) == ([], True)


async def test_silence_has_an_end_too(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    spec = harness.spec(("exit", "0"))
    [handle] = await engine.launch([spec])
    await watcher.over(spec.attempt_id)
    chunk = await engine.logs(handle, None)
    assert (chunk.frames, chunk.eof, chunk.truncated) == ([], True, False)


async def test_an_unknown_log_is_empty(engine: Engine) -> None:
    chunk = await engine.logs({"attempt_id": new_id()}, None)
    assert (chunk.frames, chunk.eof) == ([], True)


@pytest.mark.parametrize("cursor", ["", "x", "1", "1:", ":1", "-1:0", "0:-5", "0:0:0", "\uff11:0"])
async def test_what_is_no_cursor_is_refused(harness: Harness, engine: Engine, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await engine.logs({"attempt_id": new_id()}, cursor)


async def test_output_beyond_the_limit_is_cut_with_a_mark(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    spec = harness.spec(
        ("print", "x" * 599), ("print", "y" * 599), ("print", "z" * 599), ("exit", "4"), limits=Limits(log=1000)
    )
    [handle] = await engine.launch([spec])
    end = await watcher.over(spec.attempt_id)
    assert (end.exit_code, end.log_bytes, end.log_truncated) == (4, 1000, True)
    frames = await read_log(engine, handle)
    assert output(frames) == (b"x" * 599 + b"\n" + b"y" * 599)[:1000]
    assert b"1000 bytes was discarded" in output(frames, SYSTEM)
    assert (await engine.logs(handle, None)).truncated


async def test_forget_removes_the_log_of_what_is_over_only(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    done = harness.spec(("print", "done"), ("exit", "0"))
    runs = harness.spec(("print", "runs"), ("sleep-forever",))
    handles = await engine.launch([done, runs])
    await watcher.over(done.attempt_id)
    await watcher.running(runs.attempt_id)
    await printed(engine, handles[1], b"runs\n")
    await engine.forget(handles)
    await engine.forget(handles)
    other = harness.spec(("exit", "0"))
    await engine.launch([other])
    await watcher.over(other.attempt_id)
    assert (await engine.logs(handles[0], None)).frames == []
    assert output((await engine.logs(handles[1], None)).frames) == b"runs\n"
