"""Typed routes that compile to plain ASGI callables.

    routes = Routes()

    @routes.post("/v1/folders", status=201, summary="Make a folder", action="data:new")
    async def new_folder(ctx: Context, body: NewFolder) -> answers.Folder: ...

The signature says what comes in (`binding`) and what goes out, `action` (or `own`, `public`: `asking`) who may; the
OpenAPI document is written from it. Nothing
stands between the server and the handler but a header scan and msgspec: request and response objects would cost
more than the row that a request inserts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, Unpack

import msgspec

from dais.api.asking import Asking, Asks, asks
from dais.api.binding import Binder, Header
from dais.api.context import Context
from dais.api.decoding import BodyDecoder
from dais.api.errors import Disconnected, HttpProblem
from dais.api.sse import ServerEvent, stream_events

__all__ = ["Header", "Reply", "Route", "Routes", "empty", "read_body", "send_json", "send_whole"]

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answered = tuple[int, list[tuple[bytes, bytes]], bytes]
"""A whole answer that is still to be sent: its status, its headers, its body."""
Run = Callable[[Context, Scope, Receive, Send, Sequence[str]], Awaitable[Answered | None]]
Kind = Literal["json", "raw", "events", "websocket"]
H = TypeVar("H", bound=Callable[..., Any])
T = TypeVar("T")

MAX_BODY = 1 << 20
"""Bytes of a JSON body, where a route does not say otherwise."""

DRAINED = 16 << 20
"""Bytes of a refused body that are still read: the client hears why, instead of a broken connection."""

SILENCE = 0.5
"""Seconds after which a client that sends nothing is taken to wait for the answer."""

_encode = msgspec.json.Encoder().encode
_json_headers = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """An answer with another status than the route's own, or with headers."""

    value: T
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One compiled route. `run` answers a request, or returns the answer; failures leave it as exceptions.

    `asks` is who is answered; with `public` nobody is asked for a token before it runs.
    `answer` is the type of its JSON answer; None: it has none, or is no JSON.
    """

    method: str
    path: str
    kind: Kind
    name: str
    summary: str
    description: str
    status: int
    asks: Asks
    public: bool
    binder: Binder
    run: Run
    answer: Any = None


class Routes:
    """The routes of one file; `api.rest` and `api.events` list them."""

    def __init__(self) -> None:
        self.all: list[Route] = []

    def get(self, path: str, *, summary: str, status: int = 200, **asking: Unpack[Asking]) -> Callable[[H], H]:
        return self._json("GET", path, summary, status, 0, asking)

    def post(
        self, path: str, *, summary: str, status: int = 200, max_body: int = MAX_BODY, **asking: Unpack[Asking]
    ) -> Callable[[H], H]:
        return self._json("POST", path, summary, status, max_body, asking)

    def put(
        self, path: str, *, summary: str, status: int = 200, max_body: int = MAX_BODY, **asking: Unpack[Asking]
    ) -> Callable[[H], H]:
        return self._json("PUT", path, summary, status, max_body, asking)

    def patch(
        self, path: str, *, summary: str, status: int = 200, max_body: int = MAX_BODY, **asking: Unpack[Asking]
    ) -> Callable[[H], H]:
        return self._json("PATCH", path, summary, status, max_body, asking)

    def delete(self, path: str, *, summary: str, status: int = 200, **asking: Unpack[Asking]) -> Callable[[H], H]:
        return self._json("DELETE", path, summary, status, 0, asking)

    def raw(
        self,
        method: str,
        path: str,
        *,
        summary: str,
        status: int = 200,
        answer: Any = None,
        **asking: Unpack[Asking],
    ) -> Callable[[H], H]:
        """A plain ASGI handler `(ctx, scope, receive, send)` for streams and transfers.

        Further parameters of it are bound as for the others; without any, `scope["path_params"]` and the query
        string are the handler's to read. `answer` is the type of what it answers as JSON (None: bytes), with `status`.
        """
        return self._plain("raw", method, path, summary, status, asking, answer)

    def websocket(self, path: str, *, summary: str, **asking: Unpack[Asking]) -> Callable[[H], H]:
        """The same for WebSockets; what is raised before `websocket.accept` refuses with a problem document."""
        return self._plain("websocket", "GET", path, summary, 200, asking, None)

    def events(self, path: str, *, summary: str, **asking: Unpack[Asking]) -> Callable[[H], H]:
        """Server-Sent Events: the handler is an async generator of ServerEvent, or of bytes already encoded.

        What it raises before the first event is answered as a problem.
        """
        declared = asks(f"GET {path}", **asking)

        def register(handler: H) -> H:
            binder = Binder(handler, path, 1)
            self._add("events", "GET", path, handler, summary, 200, declared, binder, _events_run(handler, binder))
            return handler

        return register

    def _json(self, method: str, path: str, summary: str, status: int, limit: int, asking: Asking) -> Callable[[H], H]:
        declared = asks(f"{method} {path}", **asking)

        def register(handler: H) -> H:
            binder = Binder(handler, path, 1)
            run = _json_run(handler, binder, status, limit)
            self._add("json", method, path, handler, summary, status, declared, binder, run)
            return handler

        return register

    def _plain(
        self, kind: Kind, method: str, path: str, summary: str, status: int, asking: Asking, answer: Any
    ) -> Callable[[H], H]:
        declared = asks(f"{method} {path}", **asking)

        def register(handler: H) -> H:
            binder = Binder(handler, path, 4)
            run = _plain_run(handler, binder, path)
            self._add(kind, method, path, handler, summary, status, declared, binder, run, answer)
            return handler

        return register

    def _add(
        self,
        kind: Kind,
        method: str,
        path: str,
        handler: Callable[..., Any],
        summary: str,
        status: int,
        declared: Asks,
        binder: Binder,
        run: Run,
        answer: Any = None,
    ) -> None:
        self.all.append(
            Route(
                method=method,
                path=path,
                kind=kind,
                name=handler.__name__,
                summary=summary,
                description=(handler.__doc__ or "").strip(),
                status=status,
                asks=declared,
                public=bool(declared.public),
                binder=binder,
                run=run,
                answer=binder.answer if kind == "json" else answer,
            )
        )


def _json_run(handler: Callable[..., Awaitable[Any]], binder: Binder, status: int, limit: int) -> Run:
    decode = BodyDecoder(binder.body) if binder.body is not None else None
    bind = binder.bind

    async def run(ctx: Context, scope: Scope, receive: Receive, send: Send, values: Sequence[str]) -> Answered:
        arguments = bind(scope, values)
        if decode is not None:
            arguments["body"] = decode(await read_body(scope, receive, limit))
        result = await handler(ctx, **arguments)
        if type(result) is Reply:
            return _as_json(result.status, result.value, result.headers)
        return (204, [], b"") if result is None else _as_json(status, result)

    return run


def _plain_run(handler: Callable[..., Awaitable[None]], binder: Binder, path: str) -> Run:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]

    async def run(ctx: Context, scope: Scope, receive: Receive, send: Send, values: Sequence[str]) -> None:
        scope["path_params"] = dict(zip(names, values, strict=True))
        arguments = binder.bind(scope, values) if binder.parameters else {}
        await handler(ctx, scope, receive, send, **arguments)

    return run


def _events_run(handler: Callable[..., AsyncIterator[ServerEvent | bytes]], binder: Binder) -> Run:
    async def run(ctx: Context, scope: Scope, receive: Receive, send: Send, values: Sequence[str]) -> None:
        source = handler(ctx, **binder.bind(scope, values))
        await stream_events(source, receive, send, ctx.services.stopping)

    return run


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body. Raises HttpProblem 413 above `limit` bytes, and Disconnected."""
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > limit:
            await drain(receive)
            raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        return body
    chunks, total = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        total += len(chunk)
        if total > limit:
            if message.get("more_body"):
                await drain(receive)
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)
        message = await receive()


async def drain(receive: Receive) -> None:
    """Read on for a while what nobody wants, and keep nothing of it. Raises Disconnected."""
    left = DRAINED
    while left > 0:
        try:
            async with asyncio.timeout(SILENCE):
                message = await receive()
        except TimeoutError:  # it waits for our answer
            return
        if message["type"] == "http.disconnect":
            raise Disconnected
        left -= len(message.get("body", b""))
        if not message.get("more_body"):
            return


def _too_large(limit: int) -> HttpProblem:
    return HttpProblem(
        413,
        "The body is too large",
        f"the body may have at most {limit:,} bytes; files belong into folders or blobs",
        code="body-too-large",
        headers={"connection": "close"},
        limit=limit,
    )


async def send_json(send: Send, status: int, value: Any, headers: Sequence[tuple[str, str]] = ()) -> None:
    """Answer with JSON."""
    await send_whole(send, _as_json(status, value, headers))


async def send_whole(send: Send, answered: Answered) -> None:
    """Send what a route's `run` returned."""
    status, head, body = answered
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def _as_json(status: int, value: Any, headers: Sequence[tuple[str, str]] = ()) -> Answered:
    body = _encode(value)
    head = [*_json_headers, (b"content-length", b"%d" % len(body))]
    if headers:
        head += [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return status, head, body


async def empty(send: Send, status: int = 204, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    """Answer without a body."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": b""})
