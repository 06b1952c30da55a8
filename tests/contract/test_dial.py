"""Connections to ports of a running container."""

from __future__ import annotations

import asyncio
import hashlib
import socket

import pytest

from dais.engines.contract import ByteStream, Dial, Engine, Handle
from dais.kit.ids import new_id
from tests.support.engines import PATIENCE, Harness, Watcher, eventually, printed
from tests.support.needs import needs_program

pytestmark = pytest.mark.anyio

BLOCK = bytes(range(256)) * 1024
MUCH = 100 << 20
"""Bytes of which not all can be on their way at once."""


def free_port() -> int:
    """One that nobody has on this machine now: some containers share its network."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def container(harness: Harness, engine: Engine, watcher: Watcher, port: int) -> Handle:
    """A container that sends back what is sent to its port."""
    if harness.name.startswith("local"):
        needs_program("perl")
    spec = harness.spec(("echo", str(port)), ("print", "listens"), ("sleep-forever",))
    [handle] = await engine.launch([spec])
    await watcher.running(spec.attempt_id)
    await printed(engine, handle, b"listens")
    return handle


def dialler(engine: Engine) -> Dial:
    assert isinstance(engine, Dial)
    return engine


async def rest(stream: ByteStream) -> bytes:
    """Everything until the end."""
    taken = b""
    async with asyncio.timeout(PATIENCE):
        while data := await stream.receive():
            taken += data
    return taken


async def test_what_is_sent_comes_back_and_each_side_ends_by_itself(
    engine: Engine, container: Handle, port: int
) -> None:
    stream = await dialler(engine).dial(container, port)
    try:
        async with asyncio.timeout(PATIENCE):
            await stream.send(b"hello")
            assert await stream.receive() == b"hello"
            await stream.send(b"\x00\xff" * 100_000)
            await stream.send_eof()
        assert await rest(stream) == b"\x00\xff" * 100_000
        assert await stream.receive() == b""
    finally:
        await stream.close()


async def test_much_data_is_intact_and_waits_for_who_does_not_read(
    engine: Engine, container: Handle, port: int
) -> None:
    stream = await dialler(engine).dial(container, port)
    sent = 0
    seen: list[int] = []

    async def feed() -> None:
        nonlocal sent
        while sent < MUCH:
            await stream.send(BLOCK)
            sent += len(BLOCK)
        await stream.send_eof()

    async def stands() -> bool:
        await asyncio.sleep(0.05)
        seen.append(sent)
        return sent > 0 and seen[-5:] == [sent] * 5

    feeding = asyncio.create_task(feed())
    try:
        await eventually(stands, "the sender waits")
        assert sent < MUCH
        digest, taken = hashlib.sha256(), 0
        async with asyncio.timeout(PATIENCE):
            while data := await stream.receive():
                digest.update(data)
                taken += len(data)
            await feeding
        assert taken == MUCH
        assert digest.digest() == hashlib.sha256(BLOCK * (MUCH // len(BLOCK))).digest()
    finally:
        feeding.cancel()
        await stream.close()


async def test_where_nothing_listens_is_told(harness: Harness, engine: Engine, container: Handle, port: int) -> None:
    for other in (1, port - 1, 65_535):
        with pytest.raises(ConnectionRefusedError):
            await dialler(engine).dial(container, other)
    stream = await dialler(engine).dial(container, port)
    await stream.close()


async def test_ports_of_the_host_are_none_of_the_containers(engine: Engine, container: Handle) -> None:
    with socket.create_server(("127.0.0.1", 0)) as of_the_host, pytest.raises(ConnectionRefusedError):
        await dialler(engine).dial(container, of_the_host.getsockname()[1])


async def test_what_does_not_run_has_no_ports(harness: Harness, engine: Engine, watcher: Watcher, port: int) -> None:
    spec = harness.spec(("exit", "0"))
    [handle] = await engine.launch([spec])
    await watcher.over(spec.attempt_id)
    for absent in (handle, {"attempt_id": new_id()}):
        with pytest.raises(LookupError):
            await dialler(engine).dial(absent, port)


async def test_a_connection_ends_with_its_container(engine: Engine, container: Handle, port: int) -> None:
    stream = await dialler(engine).dial(container, port)
    try:
        async with asyncio.timeout(PATIENCE):
            await stream.send(b"x")
            assert await stream.receive() == b"x"
            await engine.stop(container, grace=0, reason="user-request")
            try:
                assert await stream.receive() == b""
            except ConnectionError:
                pass
    finally:
        await stream.close()


async def test_many_connections_at_once(engine: Engine, container: Handle, port: int) -> None:
    async def one(number: int) -> bytes:
        stream = await dialler(engine).dial(container, port)
        try:
            await stream.send(str(number).encode())
            await stream.send_eof()
            return await rest(stream)
        finally:
            await stream.close()

    assert await asyncio.gather(*(one(number) for number in range(40))) == [str(n).encode() for n in range(40)]
