"""Downloads: their names, and that they end when nobody takes them any more."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from dais.api import attachment, send_pieces

pytestmark = pytest.mark.anyio


def test_names_are_told_twice_and_break_nothing() -> None:
    assert attachment("a b.txt") == b"attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt"
    for name in ('"; filename=evil.exe', "a\r\nSet-Cookie: x=y", "größe\u202e.txt", "a/b\\c%41"):
        value = attachment(name).decode("ascii")
        assert value.count('"') == 2
        assert not set("\r\n\\/") & set(value)
        assert value.isprintable()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_nobody_takes_is_not_made(method: str) -> None:
    made = 0
    closed = False
    gone = asyncio.Event()
    sent: list[dict[str, Any]] = []

    def endless() -> Generator[bytes, None, None]:
        nonlocal made, closed
        try:
            while True:
                made += 1
                yield b"x"
        finally:
            closed = True

    async def receive() -> dict[str, Any]:
        if not sent:
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if len(sent) == 4:
            gone.set()

    async with asyncio.timeout(20):
        await send_pieces({"method": method}, receive, send, endless(), [(b"content-type", b"x/y")])
    assert closed or method == "HEAD"
    assert sent[0]["status"] == 200
    assert (made == 0) == (method == "HEAD")
    assert not sent[-1].get("more_body")
