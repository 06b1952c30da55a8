"""Commands inside a running container, and what it uses."""

from __future__ import annotations

import asyncio

import pytest

from dais.engines.contract import STDOUT, CommandNotFound, Engine, Exec, Handle, Metered, Terminal
from dais.kit.ids import new_id
from tests.support.engines import PATIENCE, Harness, Watcher, drain

pytestmark = pytest.mark.anyio


@pytest.fixture
async def container(harness: Harness, engine: Engine, watcher: Watcher) -> Handle:
    """A container that runs until it is stopped."""
    if not isinstance(engine, Exec):
        pytest.skip(f"the engine {engine.name} runs no commands in containers")
    spec = harness.spec(("sleep-forever",))
    [handle] = await engine.launch([spec])
    await watcher.running(spec.attempt_id)
    return handle


def runner(engine: Engine) -> Exec:
    assert isinstance(engine, Exec)
    return engine


async def test_a_command_prints_and_ends(harness: Harness, engine: Engine, container: Handle) -> None:
    argv = harness.argv(("print", "out"), ("error", "err"), ("env", "EXTRA"), ("exit", "5"))
    stream = await runner(engine).exec(container, argv, env={"EXTRA": "value"}, workdir=None, pty=None)
    try:
        assert await drain(stream) == (b"out\nvalue\n", b"err\n", 5)
        assert await stream.receive() == 5
    finally:
        await stream.close()


async def test_stdin_reaches_a_command_until_its_end(harness: Harness, engine: Engine, container: Handle) -> None:
    argv = harness.argv(("cat",), ("print", "end"))
    stream = await runner(engine).exec(container, argv, env={}, workdir=None, pty=None)
    try:
        await stream.send(b"hello ")
        await stream.send(b"\x00\xff\n")
        await stream.send_eof()
        assert await drain(stream) == (b"hello \x00\xff\nend\n", b"", 0)
    finally:
        await stream.close()


async def test_much_data_through_a_command_is_intact(harness: Harness, engine: Engine, container: Handle) -> None:
    stream = await runner(engine).exec(container, harness.argv(("cat",)), env={}, workdir=None, pty=None)
    block = bytes(range(256)) * 256
    count = 64

    async def feed() -> None:
        for _ in range(count):
            await stream.send(block)
        await stream.send_eof()

    feeding = asyncio.create_task(feed())
    try:
        out, _, code = await drain(stream)
        await feeding
        assert code == 0
        assert out == block * count
    finally:
        feeding.cancel()
        await stream.close()


async def test_a_signal_reaches_a_command(harness: Harness, engine: Engine, container: Handle) -> None:
    argv = harness.argv(("print", "ready"), ("sleep-forever",))
    stream = await runner(engine).exec(container, argv, env={}, workdir=None, pty=None)
    try:
        async with asyncio.timeout(PATIENCE):
            assert await stream.receive() == (STDOUT, b"ready\n")
        await stream.signal("TERM")
        assert (await drain(stream))[2] == 128 + 15
    finally:
        await stream.close()


async def test_a_terminal_is_given_when_asked(harness: Harness, engine: Engine, container: Handle) -> None:
    if harness.name == "fake":
        pytest.skip("fake containers have no terminals")
    argv = ("/bin/sh", "-c", "stty size; tty >/dev/null && echo yes; read line; stty size; echo $TERM")
    terminal = Terminal(rows=31, cols=97, term="vt100")
    env = {"PATH": "/usr/bin:/bin", "TERM": "vt100"}
    stream = await runner(engine).exec(container, argv, env=env, workdir=None, pty=terminal)
    try:
        seen = b""
        async with asyncio.timeout(PATIENCE):
            while b"yes" not in seen:
                item = await stream.receive()
                assert not isinstance(item, int), seen
                seen += item[1]
        await stream.resize(40, 100)
        await stream.send(b"go\n")
        out, _, code = await drain(stream)
        assert b"31 97" in seen
        assert b"40 100" in out
        assert b"vt100" in out
        assert code == 0
    finally:
        await stream.close()


async def test_a_missing_command_is_refused_and_the_container_goes_on(
    harness: Harness, engine: Engine, container: Handle
) -> None:
    with pytest.raises(CommandNotFound, match="no-such-command-here"):
        await runner(engine).exec(container, ("no-such-command-here",), env={}, workdir=None, pty=None)
    stream = await runner(engine).exec(container, harness.argv(("exit", "0")), env={}, workdir=None, pty=None)
    try:
        assert (await drain(stream))[2] == 0
    finally:
        await stream.close()


async def test_what_does_not_run_takes_no_command(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    spec = harness.spec(("exit", "0"))
    [handle] = await engine.launch([spec])
    await watcher.over(spec.attempt_id)
    for absent in (handle, {"attempt_id": new_id()}):
        with pytest.raises(LookupError):
            await runner(engine).exec(absent, harness.argv(("exit", "0")), env={}, workdir=None, pty=None)


async def test_a_command_ends_with_its_container(
    harness: Harness, engine: Engine, watcher: Watcher, container: Handle
) -> None:
    argv = harness.argv(("print", "ready"), ("sleep-forever",))
    stream = await runner(engine).exec(container, argv, env={}, workdir=None, pty=None)
    try:
        async with asyncio.timeout(PATIENCE):
            assert await stream.receive() == (STDOUT, b"ready\n")
        await engine.stop(container, grace=0, reason="user-request")
        assert (await drain(stream))[2] >= 128
    finally:
        await stream.close()


async def test_twenty_commands_at_once(harness: Harness, engine: Engine, container: Handle) -> None:
    async def one(number: int) -> tuple[bytes, bytes, int]:
        argv = harness.argv(("print", str(number)), ("exit", str(number)))
        stream = await runner(engine).exec(container, argv, env={}, workdir=None, pty=None)
        try:
            return await drain(stream)
        finally:
            await stream.close()

    results = await asyncio.gather(*(one(number) for number in range(20)))
    assert results == [(f"{number}\n".encode(), b"", number) for number in range(20)]


async def test_usage_is_told_for_what_runs(
    harness: Harness, engine: Engine, watcher: Watcher, container: Handle
) -> None:
    assert isinstance(engine, Metered)
    over = harness.spec(("exit", "0"))
    [ended] = await engine.launch([over])
    await watcher.over(over.attempt_id)
    [of_running, of_ended, of_unknown] = await engine.usage([container, ended, {"attempt_id": new_id()}])
    assert of_running is not None
    assert of_ended is None
    assert of_unknown is None
