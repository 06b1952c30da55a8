"""The ASGI application of the API: finds the route, knows the caller, turns failures into problems."""

from __future__ import annotations

import asyncio
import difflib
import logging
import time
from collections.abc import Awaitable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import msgspec

from dais.api.access import AccessLog, RequestIds
from dais.api.auth import tokens_in_address
from dais.api.context import Context, Services
from dais.api.errors import Disconnected, HttpProblem, describe, encode
from dais.api.meter import RouteMeter
from dais.api.routing import Answered, Receive, Route, Scope, Send, drain
from dais.api.signed import BODY, checked_body
from dais.api.standing import while_allowed
from dais.api.whole import send_whole
from dais.identity import Actor
from dais.kit.errors import Invalid, NotFound, TooMany, Unavailable

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Node:
    """One segment of the paths: what follows by name, and what follows whatever its name."""

    named: dict[str, _Node] = field(default_factory=dict)
    any: _Node | None = None
    methods: dict[str, Route] = field(default_factory=dict)
    meters: dict[str, RouteMeter] = field(default_factory=dict)


class _Answer:
    """What one request is answered: its head gets the request's id. `status` is 0 until something was sent."""

    __slots__ = ("_request_id", "_send", "_with_body", "status")

    def __init__(self, send: Send, request_id: str, with_body: bool) -> None:
        self._send = send
        self._request_id = request_id
        self._with_body = with_body
        self.status = 0

    async def __call__(self, message: dict[str, Any]) -> None:
        """Send one message; the head comes first."""
        if not self.status:
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], (b"x-request-id", self._request_id.encode())]}
        await self._send(message)

    async def whole(self, answered: Answered) -> None:
        """Send all of an answer at once."""
        self.status, head, body = answered
        head.append((b"x-request-id", self._request_id.encode()))
        await send_whole(self._send, self.status, head, body, head=not self._with_body)


class Application:
    """Answers HTTP and WebSocket requests below the paths of its routes."""

    def __init__(self, routes: Sequence[Route], services: Services) -> None:
        self.routes = list(routes)
        self.services = services
        self._authenticator = services.authenticator
        self._unrouted = services.meter.unrouted
        self._root = _Node()
        self._static: dict[str, _Node] = {}
        self._ids = RequestIds()
        self._access = AccessLog(services.settings.get("server"))
        for route in routes:
            self._add(route)

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Answer one request of type "http" or "websocket"."""
        answer = self._http if scope["type"] == "http" else self._websocket
        return answer(scope, receive, send)

    def problem(self, error: BaseException, request_id: str) -> Answered:
        """How a failure is told."""
        return _problem(error, request_id)

    def _add(self, route: Route) -> None:
        node = self._root
        for part in route.path.strip("/").split("/"):
            if part.startswith("{"):
                node.any = node.any or _Node()
                node = node.any
            else:
                node = node.named.setdefault(part, _Node())
        if "{" not in route.path:
            self._static[route.path] = node
        method = "WEBSOCKET" if route.kind == "websocket" else route.method
        if method in node.methods:
            raise TypeError(f"two routes answer {method} {route.path}")
        node.methods[method] = route
        timed = route.kind not in ("events", "websocket")
        node.meters[method] = self.services.meter.of(method, route.path, timed=timed)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        request_id = self._ids.next()
        meter = self._unrouted
        actor: Actor | None = None
        answer = _Answer(send, request_id, scope["method"] != "HEAD")
        try:
            if tokens_in_address(scope["query_string"], scope["raw_path"]):
                await self._authenticator.refuse_in_address(scope["query_string"], scope["raw_path"])
            node, values = self._find(scope)
            route = node.methods.get(scope["method"])
            if route is None:
                await self._without_route(node, scope, receive, answer, values)
                return
            meter = node.meters[route.method]
            actor = None if route.public else await self._authenticator.actor(scope)
            scope["actor"] = actor
            if actor is not None:  # known before it is counted: the access log names who was refused
                self.services.limits.request(actor.id)
            if BODY in scope:
                receive = checked_body(scope, receive, whole=route.kind == "json")
            if route.kind == "json":
                answered = await route.run(Context(self.services, actor), scope, receive, answer, values)
                if answered is not None:
                    await answer.whole(answered)
            else:
                await self._long(route, meter, actor, scope, receive, answer, values)
        except Disconnected:
            return
        except asyncio.CancelledError:
            if not self.services.stopping.is_set():
                raise
            log.warning("a request was cut off because the server stops: %s %s", meter.method, meter.path)
            if not answer.status:
                await answer.whole(self.problem(_cut_off(), request_id))
        except Exception as error:
            if answer.status:
                log.error("%s %s failed after its answer had begun", scope["method"], scope["path"], exc_info=error)
                raise
            await self.services.refusals.note(scope.get("actor"), error)
            await answer.whole(self.problem(error, request_id))
        finally:
            seconds = time.perf_counter() - begun
            meter.note(answer.status, seconds)
            self._access.note(meter, answer.status, seconds, request_id, actor.id if actor is not None else None)

    async def _long(
        self,
        route: Route,
        meter: RouteMeter,
        actor: Actor | None,
        scope: Scope,
        receive: Receive,
        send: _Answer,
        values: Sequence[str],
    ) -> None:
        """Answer what may take long: transfers and streams. A stream ends when its reader may not have it any more."""
        with ExitStack() as held:
            if actor is not None:
                await self._hold(held, actor.id, route, scope, receive)
            ctx = Context(self.services, actor)
            if meter.timed:
                await route.run(ctx, scope, receive, send, values)
                return
            held.enter_context(meter)
            refused = await while_allowed(ctx, route.run(ctx, scope, receive, send, values))
            if refused is not None and not send.status:
                raise refused
            if refused is not None:
                await send({"type": "http.response.body", "body": b""})

    async def _hold(self, held: ExitStack, user_id: str, route: Route, scope: Scope, receive: Receive) -> None:
        """Count what takes long until it has ended. Raises TooMany."""
        limits = self.services.limits
        if route.kind == "events":
            held.enter_context(limits.stream(user_id))
        elif route.method in ("PUT", "POST"):
            try:
                held.enter_context(limits.upload(user_id, _content_length(scope)))
            except TooMany:
                await drain(receive)  # else the client may see a broken connection, and not why
                raise

    async def _without_route(
        self, node: _Node, scope: Scope, receive: Receive, answer: _Answer, values: Sequence[str]
    ) -> None:
        methods = set(node.methods) - {"WEBSOCKET"}
        get = node.methods.get("GET")
        if scope["method"] == "HEAD" and get is not None and get.kind in ("json", "raw"):
            actor = scope["actor"] = None if get.public else await self._authenticator.actor(scope)
            if actor is not None:
                self.services.limits.request(actor.id)
            answered = await get.run(Context(self.services, actor), scope, receive, _headless(answer), values)
            if answered is not None:
                await answer.whole(answered)
            return
        if get is not None:
            methods.add("HEAD")
        allow = ", ".join(sorted(methods | {"OPTIONS"}))
        if scope["method"] == "OPTIONS":
            await answer.whole((204, [(b"allow", allow.encode())], b""))
            return
        if not methods:
            raise HttpProblem(
                426,
                "A WebSocket is needed",
                f"{scope['path']} is for WebSockets; send an upgrade request",
                code="upgrade-required",
                headers={"upgrade": "websocket", "connection": "upgrade"},
            )
        raise HttpProblem(
            405,
            "This method is not known here",
            f"{scope['method'][:20]} is not possible on {scope['path'][:200]}; possible are {allow}",
            code="method-not-allowed",
            headers={"allow": allow},
            allowed=sorted(methods),
        )

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        accepted = False
        request_id = self._ids.next()
        meter, status = self._unrouted, 101

        async def watched(message: dict[str, Any]) -> None:
            nonlocal accepted
            accepted = True
            try:
                await send(message)
            except OSError as error:  # a client that has gone while it was spoken to, as ASGI has it
                raise Disconnected from error

        try:
            if tokens_in_address(scope["query_string"], scope["raw_path"]):
                await self._authenticator.refuse_in_address(scope["query_string"], scope["raw_path"])
            node, values = self._find(scope)
            route = node.methods.get("WEBSOCKET")
            if route is None:
                raise NotFound(f"{scope['path'][:200]} is not for WebSockets", code="no-such-path")
            meter = node.meters["WEBSOCKET"]
            actor = scope["actor"] = await self._authenticator.actor(scope)
            self.services.limits.request(actor.id)
            with self.services.limits.stream(actor.id), meter:
                ctx = Context(self.services, actor)
                refused = await while_allowed(ctx, route.run(ctx, scope, receive, watched, values))
            if refused is not None and not accepted:
                raise refused
            if refused is not None:
                await send({"type": "websocket.close", "code": 1008, "reason": refused.code})
        except Disconnected:
            return
        except asyncio.CancelledError:
            if not self.services.stopping.is_set():
                raise
        except Exception as error:
            if accepted:
                log.error("the WebSocket %s failed", scope["path"], exc_info=error)
                await send({"type": "websocket.close", "code": 1011, "reason": describe(error)[0].code})
            else:
                await self.services.refusals.note(scope.get("actor"), error)
                status = await _refuse_websocket(error, scope, send, request_id)
        finally:
            meter.note(status, 0.0)

    def _find(self, scope: Scope) -> tuple[_Node, Sequence[str]]:
        path: str = scope["path"]
        static = self._static.get(path)
        if static is not None:
            return static, ()
        raw_path: bytes = scope["raw_path"]
        if b"%" in raw_path:  # a name may hold an encoded slash: split first, decode then
            try:
                parts = [unquote(part, errors="strict") for part in raw_path.decode("ascii").split("/")[1:]]
            except UnicodeDecodeError as error:
                raise Invalid("the path is not percent-encoded UTF-8", code="bad-path") from error
        else:
            parts = path.split("/")[1:]
        found = _straight(self._root, parts)
        if found is None:
            raise self._nothing_at(path[:200])
        return found

    def _nothing_at(self, path: str) -> NotFound:
        near = difflib.get_close_matches(path, {route.path for route in self.routes}, 1)
        hint = f"; did you mean {near[0]}?" if near else "; GET /v1/openapi.json lists what there is"
        return NotFound(f"there is nothing at {path}{hint}", code="no-such-path")


def _content_length(scope: Scope) -> int:
    """Bytes that the body is said to have; 0 where nothing is said."""
    value = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(value) if value.isdigit() else 0


def _straight(root: _Node, parts: Sequence[str]) -> tuple[_Node, Sequence[str]] | None:
    """The node of a path and what its placeholders stand for."""
    node: _Node | None = root
    values: list[str] = []
    for part in parts:
        assert node is not None
        named = node.named.get(part)
        if named is None:
            if not part:
                return None
            values.append(part)
            node = node.any
            if node is None:
                return None
        elif node.any is None:
            node = named
        else:  # there are two ways on: a name may be a placeholder's value, too
            values = []
            node = _walk(root, parts, 0, values)
            break
    return (node, values) if node is not None and node.methods else None


def _walk(node: _Node, parts: Sequence[str], at: int, values: list[str]) -> _Node | None:
    if at == len(parts):
        return node if node.methods else None
    named = node.named.get(parts[at])
    if named is not None:
        found = _walk(named, parts, at + 1, values)
        if found is not None:
            return found
    if node.any is None or not parts[at]:
        return None
    values.append(parts[at])
    found = _walk(node.any, parts, at + 1, values)
    if found is None:
        values.pop()
    return found


def _cut_off() -> Unavailable:
    return Unavailable(
        "the server is stopping and could not wait for this request any longer; send it again",
        code="stopping",
        retry_after=1,
    )


def _headless(send: Send) -> Send:
    """Sends the head of a GET's answer without its body."""
    ended = False

    async def headless(message: dict[str, Any]) -> None:
        nonlocal ended
        if message["type"] == "http.response.start":
            await send(message)
        elif not ended and not message.get("more_body"):
            ended = True
            await send({"type": "http.response.body", "body": b""})

    return headless


def _problem(error: BaseException, request_id: str) -> Answered:
    problem, headers = describe(error)
    body = encode(msgspec.structs.replace(problem, instance=f"urn:dais:request:{request_id}"))
    head = [
        (b"content-type", b"application/problem+json"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-length", b"%d" % len(body)),
    ]
    head += [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return problem.status, head, body


async def _refuse_websocket(error: BaseException, scope: Scope, send: Send, request_id: str) -> int:
    status, head, body = _problem(error, request_id)
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": status, "headers": head})
        await send({"type": "websocket.http.response.body", "body": body})
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": describe(error)[0].code})
    return status
