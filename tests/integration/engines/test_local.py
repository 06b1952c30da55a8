"""What is the local engine's own: finding and starting its supervisor, frames, segments, event loops."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from dais.engines.contract import File, LaunchSpec, Limits, Phase
from dais.engines.local import LocalEngine, LocalSettings, SupervisorUnreachable
from dais.engines.supervised.frames import pack
from dais.node import MAX_FRAME
from dais.node.streams import read_body
from tests.support.engines import PATIENCE, LocalHarness, eventually, output, printed, read_log, watching

pytestmark = pytest.mark.anyio


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[LocalHarness]:
    """A node directory for containers without a sandbox."""
    made = LocalHarness(tmp_path, "process")
    yield made
    await made.close()


@pytest.fixture
async def engine(harness: LocalHarness) -> AsyncIterator[LocalEngine]:
    opened = await harness.open()
    yield opened
    await opened.close()


def is_there(path: Path) -> bool:
    return path.exists()


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
async def test_it_works_under_uvloop(harness: LocalHarness, engine: LocalEngine) -> None:
    assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
    runs, ends = harness.spec(("sleep-forever",)), harness.spec(("print", "hello"), ("exit", "3"))
    async with watching(engine) as watcher:
        handles = await engine.launch([runs, ends])
        assert (await watcher.over(ends.attempt_id)).exit_code == 3
        assert output(await read_log(engine, handles[1])) == b"hello\n"
        await watcher.running(runs.attempt_id)
        stream = await engine.exec(handles[0], ("/bin/cat",), env={}, workdir=None, pty=None)
        await stream.send(b"x" * 1_000_000)
        await stream.send_eof()
        taken = 0
        async with asyncio.timeout(PATIENCE):
            while not isinstance(item := await stream.receive(), int):
                taken += len(item[1])
        await stream.close()
        assert taken == 1_000_000
        await harness.crash()
        assert (await watcher.over(runs.attempt_id)).reason == "node-lost"


async def test_an_older_supervisor_is_not_sent_what_it_would_ignore(tmp_path: Path) -> None:
    """Secrets as files and images of their own came with protocol 2."""
    launched: list[str] = []

    async def older(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (body := await read_body(reader)) is not None:
            said = json.loads(body)
            if said["op"] == "hello":
                assert said["protocol"] == 1, "it would refuse another"
                writer.write(pack({"op": "hello", "protocol": 1, "incarnation": "one"}))
            elif said["op"] == "ping":
                writer.write(pack({"op": "pong"}))
            elif said["op"] == "launch":
                launched.extend(spec["attempt_id"] for spec in said["specs"])
        writer.close()

    server = await asyncio.start_unix_server(older, tmp_path / "supervisor.sock")
    engine = LocalEngine(tmp_path)
    await engine.start()
    try:
        plain = LaunchSpec(attempt_id="plain", argv=("true",), env={})
        secret = replace(plain, attempt_id="secret", files=(File(target="/run/secret", content=b"x"),))
        image = replace(plain, attempt_id="image", root="/srv/images/one")
        async with watching(engine) as watcher:
            await engine.launch([plain, secret, image])
            for refused, what in (("secret", "secrets as files"), ("image", "images of their own")):
                over = await watcher.over(refused)
                assert over.reason == "launch-failed"
                assert what in (over.detail or "")
                assert "start it again" in (over.detail or "")

        async def sent() -> bool:
            return bool(launched)

        await eventually(sent, "the one that it knows was sent")
        assert launched == ["plain"]
    finally:
        await engine.close()
        server.close()


async def test_a_directory_of_any_length(tmp_path: Path) -> None:
    harness = LocalHarness(tmp_path / ("long-" * 40) / ("longer-" * 30), "process")
    engine = await harness.open()
    try:
        spec = harness.spec(("exit", "3"))
        async with watching(engine) as watcher:
            await engine.launch([spec])
            assert (await watcher.over(spec.attempt_id)).exit_code == 3
    finally:
        await engine.close()
        await harness.close()


async def test_a_supervisor_that_cannot_start_is_told_with_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "node" / "supervisor.sock").mkdir(parents=True)
    engine = LocalEngine(tmp_path / "node", LocalSettings(start_timeout=2))
    with pytest.raises(SupervisorUnreachable, match=r"supervisor\.log"):
        await engine.start()


async def test_a_node_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        await LocalEngine(tmp_path / "file" / "node").start()


async def test_calls_before_start_say_why_they_cannot_work(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path / "node")
    with pytest.raises(SupervisorUnreachable, match="not been connected"):
        await engine.poll([])


async def test_a_launch_larger_than_any_frame_fails_alone(harness: LocalHarness, engine: LocalEngine) -> None:
    huge = harness.spec(("exit", "0"), env={"HUGE": "x" * MAX_FRAME})
    sound = harness.spec(("exit", "0"))
    async with watching(engine) as watcher:
        await engine.launch([huge, sound])
        end = await watcher.over(huge.attempt_id)
        assert (end.reason, str(MAX_FRAME) in (end.detail or "")) == ("launch-failed", True)
        assert (await watcher.over(sound.attempt_id)).exit_code == 0


async def test_a_batch_larger_than_a_frame_is_split(harness: LocalHarness, engine: LocalEngine) -> None:
    env = {f"V{n}": "x" * 100_000 for n in range(6)}
    specs = [harness.spec(("exit", str(code)), env=env) for code in range(60)]
    assert len(specs) * 600_000 > 2 * MAX_FRAME
    async with watching(engine) as watcher:
        await engine.launch(specs)
        assert [(await watcher.over(spec.attempt_id)).exit_code for spec in specs] == list(range(60))


async def test_text_that_is_no_unicode_fails_alone(harness: LocalHarness, engine: LocalEngine) -> None:
    broken = harness.spec(argv=("/bin/echo", "\udc80"))
    sound = harness.spec(("exit", "0"))
    async with watching(engine) as watcher:
        await engine.launch([broken, sound])
        assert (await watcher.over(broken.attempt_id)).reason == "launch-failed"
        assert (await watcher.over(sound.attempt_id)).exit_code == 0


async def test_a_log_of_many_segments(harness: LocalHarness, engine: LocalEngine) -> None:
    count = 1_500_000
    spec = harness.spec(argv=("/bin/sh", "-c", f"seq {count}"))
    async with watching(engine) as watcher:
        [handle] = await engine.launch([spec])
        assert (await watcher.over(spec.attempt_id)).exit_code == 0
    expected = "".join(f"{n}\n" for n in range(1, count + 1)).encode()
    assert output(await read_log(engine, handle)) == expected
    assert output(await read_log(engine, handle, limit=300_000)) == expected
    whole = await engine.logs(handle, None, limit=1 << 30)
    assert not whole.eof
    assert len(output(whole.frames)) < len(expected)


async def test_an_end_that_nobody_acknowledged_is_forgotten_by_nobody(harness: LocalHarness) -> None:
    """The supervisor dies twice before a server hears of the end."""
    first = await harness.open()
    spec = harness.spec(("print", "kept"), ("exit", "6"))
    async with watching(first, acknowledges=False) as watcher:
        [handle] = await first.launch([spec])
        await watcher.over(spec.attempt_id)
    await first.close()
    for _ in range(2):
        await harness.crash()
        engine = await harness.open()
        async with watching(engine, acknowledges=False) as watcher:
            assert (await watcher.over(spec.attempt_id)).exit_code == 6
        assert output(await read_log(engine, handle)) == b"kept\n"
        await engine.close()


async def test_an_engine_without_work_finds_the_next_supervisor(harness: LocalHarness, engine: LocalEngine) -> None:
    before = engine.supervisor_pid
    await harness.crash()

    async def another() -> bool:
        return engine.supervisor_pid != before

    await eventually(another, "another supervisor")
    spec = harness.spec(("exit", "0"))
    async with watching(engine) as watcher:
        await engine.launch([spec])
        assert (await watcher.over(spec.attempt_id)).exit_code == 0


async def test_shutdown_leaves_what_runs_unless_told_to_kill(harness: LocalHarness, engine: LocalEngine) -> None:
    spec = harness.spec(("sleep-forever",))
    async with watching(engine) as watcher:
        [handle] = await engine.launch([spec])
        await watcher.running(spec.attempt_id)
        await engine.shutdown(kill=False)
        [usage] = await engine.usage([handle])
        assert usage is not None
        [status] = await engine.poll([handle])
        assert status.phase is Phase.RUNNING
        await engine.shutdown(kill=True)
        assert (await watcher.over(spec.attempt_id)).reason in ("stopped", "signal")


async def test_a_command_whose_reader_goes_away_ends(harness: LocalHarness, engine: LocalEngine) -> None:
    spec = harness.spec(("print", "up"), ("sleep-forever",), limits=Limits(pids=100))
    async with watching(engine) as watcher:
        [handle] = await engine.launch([spec])
        await watcher.running(spec.attempt_id)
        await printed(engine, handle, b"up\n")
        script = "echo $$; exec cat /dev/zero"
        stream = await engine.exec(handle, ("/bin/sh", "-c", script), env={}, workdir=None, pty=None)
        async with asyncio.timeout(PATIENCE):
            first = await stream.receive()
            assert not isinstance(first, int)
            pid = int(first[1].split(b"\n")[0])
            for _ in range(100):
                assert not isinstance(await stream.receive(), int)
        process = Path(f"/proc/{pid}")
        assert is_there(process)
        await stream.close()

        async def gone() -> bool:
            return not is_there(process)

        await eventually(gone, "the end of the command")
        assert (await engine.poll([handle]))[0].phase is Phase.RUNNING
