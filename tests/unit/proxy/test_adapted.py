"""Streams in frames as transports: what goes through them, who waits for whom, and how they end."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator

import pytest

from dais.engines.supervised.streams import PartStream
from dais.proxy.http.adapted import HIGH, Adapted

pytestmark = pytest.mark.anyio

MUCH = os.urandom(6 << 20)


class Side(asyncio.Protocol):
    """What a transport tells."""

    def __init__(self, *, stays: bool = True) -> None:
        self.got = bytearray()
        self.stays = stays
        self.ended = asyncio.Event()
        self.full = asyncio.Event()
        self.empty = asyncio.Event()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.got += data

    def eof_received(self) -> bool:
        self.ended.set()
        return self.stays

    def pause_writing(self) -> None:
        self.full.set()

    def resume_writing(self) -> None:
        self.empty.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@pytest.fixture
async def pair() -> AsyncIterator[tuple[PartStream, PartStream]]:
    """Two streams in frames that lead to each other, as over the connection to a supervisor."""
    sockets = socket.socketpair()
    made = [PartStream(*(await asyncio.open_connection(sock=sock))) for sock in sockets]
    async with asyncio.timeout(30):
        yield made[0], made[1]
    for stream in made:
        await stream.close()


async def all_of(stream: PartStream) -> bytes:
    taken = bytearray()
    while data := await stream.receive():
        taken += data
    return bytes(taken)


async def test_the_writer_is_stopped_until_the_other_side_takes_it(pair: tuple[PartStream, PartStream]) -> None:
    near, far = pair
    side = Side()
    transport = Adapted(near, side)
    for start in range(0, len(MUCH), 1 << 16):
        transport.write(MUCH[start : start + (1 << 16)])
    assert side.full.is_set()
    assert transport.get_write_buffer_size() > HIGH
    assert not side.empty.is_set()
    transport.write_eof()
    assert await all_of(far) == MUCH
    assert side.empty.is_set()
    await far.send(b"still there")  # the other direction goes on
    await far.send_eof()
    await side.ended.wait()
    assert side.got == b"still there"
    transport.close()
    assert await side.lost is None


async def test_nothing_is_read_while_it_is_paused(pair: tuple[PartStream, PartStream]) -> None:
    near, far = pair
    side = Side()
    transport = Adapted(near, side)
    transport.pause_reading()
    sending = asyncio.create_task(far.send(MUCH))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not sending.done()
    assert len(side.got) < 1 << 20
    transport.resume_reading()
    await sending
    await far.send_eof()
    await side.ended.wait()
    assert bytes(side.got) == MUCH
    transport.abort()
    assert await side.lost is None


async def test_what_was_written_goes_before_the_end(pair: tuple[PartStream, PartStream]) -> None:
    near, far = pair
    side = Side(stays=False)
    transport = Adapted(near, side)
    transport.writelines([MUCH, b"last"])
    transport.close()
    transport.write(b"too late")
    taken = bytearray()
    while len(taken) < len(MUCH) + 4:
        taken += await far.receive()
    assert bytes(taken) == MUCH + b"last"
    with pytest.raises(ConnectionError):  # frames tell an end from a cut: who only closes has not ended
        await far.receive()
    assert await side.lost is None
    assert transport.is_closing()


async def test_an_end_that_is_not_wanted_any_longer_closes_it(pair: tuple[PartStream, PartStream]) -> None:
    near, far = pair
    side = Side(stays=False)
    Adapted(near, side)
    await far.send(b"all")
    await far.send_eof()
    assert await side.lost is None
    assert bytes(side.got) == b"all"


async def test_a_cut_is_told(pair: tuple[PartStream, PartStream]) -> None:
    near, far = pair
    side = Side()
    Adapted(near, side)
    await far.close()
    assert isinstance(await side.lost, ConnectionError)


class Deaf(PartStream):
    """A stream that breaks when it is written to, and says nothing."""

    async def send(self, data: bytes) -> None:
        raise BrokenPipeError("nobody reads")


async def test_a_write_that_breaks_is_told_though_nothing_comes(pair: tuple[PartStream, PartStream]) -> None:
    near, _ = pair
    side = Side()
    transport = Adapted(Deaf(near._reader, near._writer), side)
    transport.write(b"x")
    assert isinstance(await side.lost, BrokenPipeError)
