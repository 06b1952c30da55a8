"""Parts that are made with the first request for them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from dais.app.first_use import FirstUse

pytestmark = pytest.mark.anyio


async def _application(scope: Any, receive: Any, send: Any) -> None:
    await send(scope["path"])


async def test_many_first_requests_make_it_once_and_not_on_the_event_loop() -> None:
    made_by: list[threading.Thread] = []

    def make() -> Any:
        made_by.append(threading.current_thread())
        return _application

    later, answered = FirstUse(make), []

    async def send(message: Any) -> None:
        answered.append(message)

    assert made_by == []
    await asyncio.gather(*(later({"path": path}, None, send) for path in "abc"))
    await later({"path": "d"}, None, send)
    assert sorted(answered) == ["a", "b", "c", "d"]
    assert len(made_by) == 1
    assert made_by[0] is not threading.current_thread()


async def test_what_could_not_be_made_is_tried_again() -> None:
    tries = iter([OSError("too many open files"), None])

    def make() -> Any:
        if (problem := next(tries)) is not None:
            raise problem
        return _application

    later, answered = FirstUse(make), []

    async def send(message: Any) -> None:
        answered.append(message)

    with pytest.raises(OSError, match="too many"):
        await later({"path": "a"}, None, send)
    await later({"path": "b"}, None, send)
    assert answered == ["b"]
