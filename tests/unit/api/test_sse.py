"""Streams of events: when they begin and end, and what happens to slow readers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dais.api.sse import ACCEPTED, ServerEvent, stream_events
from dais.kit.errors import NotFound

PATIENCE = 30.0


class Client:
    """The other end of one request."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self.reads = True
        self.heard = asyncio.Event()
        self.heard_thrice = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if not self.reads:
            await asyncio.Event().wait()
        self.messages.append(message)
        self.heard.set()
        if len(self.messages) > 3:
            self.heard_thrice.set()

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.messages).decode()


async def run(client: Client, source: AsyncIterator[ServerEvent | bytes], **more: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        await stream_events(source, client.receive, client.send, more.pop("stopping", asyncio.Event()), **more)


async def few() -> AsyncIterator[ServerEvent | bytes]:
    yield ServerEvent({"a": "x\ny"}, "thing", "7")
    yield b"data: raw\n\n"


async def endless(closed: asyncio.Event) -> AsyncIterator[ServerEvent | bytes]:
    try:
        yield ServerEvent(1)
        await asyncio.Event().wait()
    finally:
        closed.set()


class Failing:
    """A source that finds nothing to tell of."""

    def __aiter__(self) -> Failing:
        return self

    async def __anext__(self) -> ServerEvent | bytes:
        raise NotFound("no such job", code="no-such-job")


class Refusing(Failing):
    """The same, which takes its time."""

    async def __anext__(self) -> ServerEvent | bytes:
        for _ in range(20):
            await asyncio.sleep(0)
        return await super().__anext__()


@pytest.mark.anyio
async def test_events_are_written_and_the_answer_ends() -> None:
    client = Client()
    await run(client, few())
    assert client.messages[0]["status"] == 200
    assert client.text == 'id: 7\nevent: thing\ndata: {"a":"x\\ny"}\n\ndata: raw\n\n'
    assert client.messages[-1]["more_body"] is False


@pytest.mark.anyio
async def test_what_is_raised_before_the_first_event_is_the_callers() -> None:
    client = Client()
    with pytest.raises(NotFound):
        await run(client, Failing())
    assert client.messages == []


@pytest.mark.anyio
async def test_a_refusal_that_takes_long_is_none_the_less_one() -> None:
    client = Client()
    with pytest.raises(NotFound):
        await run(client, Refusing(), soon=0, keep_alive=0)
    assert client.messages == []


@pytest.mark.anyio
async def test_a_client_that_goes_ends_the_source() -> None:
    client, closed = Client(), asyncio.Event()
    task = asyncio.create_task(run(client, endless(closed)))
    async with asyncio.timeout(PATIENCE):
        await client.heard.wait()
        client.gone.set()
        await closed.wait()
        await task


@pytest.mark.anyio
async def test_a_server_that_stops_ends_the_stream_in_order() -> None:
    client, closed, stopping = Client(), asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(run(client, endless(closed), stopping=stopping))
    async with asyncio.timeout(PATIENCE):
        await client.heard.wait()
        stopping.set()
        await task
    assert closed.is_set()
    assert client.messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.mark.anyio
async def test_silence_is_kept_alive() -> None:
    async def silent() -> AsyncIterator[ServerEvent | bytes]:
        yield ACCEPTED
        await client.heard_thrice.wait()
        yield ServerEvent("end")

    client = Client()
    await run(client, silent(), soon=0.001, keep_alive=0.001)
    assert client.text.startswith(": \n\n: \n\n: \n\n")
    assert client.text.endswith('event: message\ndata: "end"\n\n')


@pytest.mark.anyio
async def test_a_slow_reader_is_cut() -> None:
    client, closed = Client(), asyncio.Event()

    async def many() -> AsyncIterator[ServerEvent | bytes]:
        try:
            while True:
                yield b"data: x\n\n"
                if len(client.messages) > 3:
                    client.reads = False
        finally:
            closed.set()

    await run(client, many(), slow=0.05)
    assert closed.is_set()
    assert client.messages[-1]["more_body"] is True  # cut, not ended
