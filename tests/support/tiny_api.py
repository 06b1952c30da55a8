"""A tiny server that answers as told: for clients, whose real server fails too rarely."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from tests.support.serving import PATIENCE, serving

Pieces = AsyncIterator[bytes]


@dataclass(frozen=True)
class Asked:
    """One request that arrived; `raw` is its path as it was sent."""

    method: str
    path: str
    raw: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass(frozen=True)
class Reply:
    """What goes back: a value as JSON, or pieces as they come.

    `broken` cuts the connection after them, or in the middle of the value; `held` keeps a stream open until the client
    leaves.
    """

    value: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Callable[[], Pieces] | None = None
    broken: bool = False
    held: bool = False


Handler = Callable[[Asked], Reply]


class TinyApi:
    """Give it handlers by method and path; read what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.sockets: Callable[[Any, Any, Any], Any] | None = None
        self._handlers: dict[tuple[str, str], list[Handler]] = {}

    def on(self, method: str, path: str, *handlers: Handler) -> None:
        """Answer so; of several handlers each answers once, and the last for ever."""
        self._handlers[method, path] = list(handlers)

    def paths(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.asked]

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            assert self.sockets is not None
            await self.sockets(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode()))
        asked = Asked(scope["method"], scope["path"], scope["raw_path"].decode(), query, headers, body)
        self.asked.append(asked)
        handlers = self._handlers.get((asked.method, asked.path))
        if handlers is None:
            reply = problem(404, "no-such-route", f"nothing is at {asked.path}")
        else:
            reply = (handlers.pop(0) if len(handlers) > 1 else handlers[0])(asked)
        await _send(reply, receive, send)


async def _send(reply: Reply, receive: Any, send: Any) -> None:
    kind = "application/json" if reply.pieces is None else "text/event-stream"
    headers = {"content-type": kind, **reply.headers}
    start = [(name.encode(), value.encode()) for name, value in headers.items()]
    if reply.broken and reply.pieces is None:
        start.append((b"content-length", b"1000"))
    await send({"type": "http.response.start", "status": reply.status, "headers": start})
    if reply.broken and reply.pieces is None:
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        raise ConnectionAbortedError("cut, as told")
    if reply.pieces is None:
        body = reply.value if isinstance(reply.value, bytes) else msgspec.json.encode(reply.value)
        await send({"type": "http.response.body", "body": b"" if reply.status == 204 else body})
        return
    async for piece in reply.pieces():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    if reply.held:
        async with asyncio.timeout(PATIENCE):
            while (await receive())["type"] != "http.disconnect":
                pass
    elif reply.broken:
        raise ConnectionAbortedError("cut, as told")
    else:
        await send({"type": "http.response.body", "body": b""})


@contextmanager
def tiny_api() -> Iterator[TinyApi]:
    """One that listens, until the block ends."""
    api = TinyApi()
    with serving(api) as api.url:
        yield api


def json(value: Any, status: int = 200, **headers: str) -> Handler:
    """Answer this value."""
    return lambda _: Reply(value, status, {name.replace("_", "-"): text for name, text in headers.items()})


def problem(status: int, code: str, detail: str, **fields: Any) -> Reply:
    """A problem document."""
    value = {"type": "about:blank", "title": "t", "status": status, "detail": detail, "code": code, "fields": fields}
    return Reply(value, status, {"content-type": "application/problem+json"})


def events(*lines: tuple[str, Any, str | None], broken: bool = False, held: bool = False) -> Reply:
    """A stream of (event, data, id)."""

    async def pieces() -> Pieces:
        yield b": \n\n"
        for event, data, mark in lines:
            head = f"id: {mark}\n" if mark is not None else ""
            yield f"{head}event: {event}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"

    return Reply(pieces=pieces, broken=broken, held=held)


def frame(text: str, stream: str = "stdout") -> dict[str, Any]:
    """A log frame."""
    return {"at": "2026-11-22T05:00:00Z", "stream": stream, "data": text}


def job(state: str = "RUNNING", **fields: Any) -> dict[str, Any]:
    """A job as the API shows it."""
    return {
        "id": "0193a1b2-0000-7000-8000-000000000001",
        "number": 1,
        "name": "train",
        "urn": "urn",
        "account": "local.ann",
        "account_id": "a",
        "owner": "ann",
        "state": state,
        "type": "batch",
        "command": ["python", "train.py"],
        "image": "host",
        "tags": {"k": "v"},
        "cpu": 1.0,
        "mem": 1 << 30,
        "gpu": 0,
        "alive": state not in ("SUCCEEDED", "FAILED", "CANCELLED"),
        "created_at": "2026-11-22T05:00:00.123456Z",
        "spec": {"command": ["python", "train.py"]},
        "runs": [],
        **fields,
    }


def run(**fields: Any) -> dict[str, Any]:
    """A run as the API shows it."""
    return {"id": "r", "index": 0, "state": "RUNNING", "created_at": "2026-11-22T05:00:00Z", **fields}
