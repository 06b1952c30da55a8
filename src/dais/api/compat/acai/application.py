"""The facade's edge: finds the call, knows the caller by the token among the values, tells errors as ACAI did."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from dais.api.access import AccessLog, RequestIds
from dais.api.auth import tokens_in_address
from dais.api.compat.acai import credential, jobs, meta, provenance, provisioning, storage
from dais.api.compat.acai.calls import Call, Calls, Entry
from dais.api.compat.acai.content import download, upload
from dais.api.compat.acai.links import PLACE, Links
from dais.api.compat.acai.settings import AcaiSettings
from dais.api.context import Services
from dais.api.errors import Disconnected, HttpProblem, describe
from dais.api.routing import Receive, Scope, Send, drain, read_body
from dais.identity import Actor, get_account, project_of
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid, NotFound, Unauthenticated

log = logging.getLogger(__name__)

SERVICES = (
    "credential",
    "storage",
    "meta",
    "job_registry",
    "job_monitor",
    "log_server",
    "provenance",
    "profiler",
    "auto_provisioner",
)
LACKING = ("automl",)
"""Services of ACAI that Dais does not answer."""

MAX_BODY = 64 << 20
TOKEN = "dais_acai_"  # noqa: S105 (how such tokens begin)

_places = tuple(f"/{name}/" for name in (*SERVICES, *LACKING))


class AcaiApplication:
    """Answers `GET /SERVICE/CALL?token=…` and `POST /SERVICE/CALL {"token": …}`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._settings: AcaiSettings = services.settings.get("acai") or AcaiSettings()
        self._access = AccessLog(services.settings.get("server"))
        self._ids = RequestIds()
        self._calls: dict[str, Entry] = {}
        for part in (credential, storage, meta, jobs, provenance, provisioning):
            calls: Calls = part.calls
            self._calls.update(calls.all)

    @property
    def paths(self) -> list[str]:
        """Every call that is answered."""
        return sorted(self._calls)

    @staticmethod
    def answers(scope: Scope) -> bool:
        """Whether a request is for one of ACAI's services."""
        return scope["type"] == "http" and str(scope["path"]).startswith(_places)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        begun = time.perf_counter()
        request_id = self._ids.next()
        path: str = scope["path"]
        route = PLACE + "{link}" if path.startswith(PLACE) else path if path in self._calls else "(acai)"
        meter = self._services.meter.of(scope["method"], route)
        status = 0

        async def watched(message: dict[str, Any]) -> None:
            nonlocal status
            status = status or message.get("status", 0)
            await send(message)

        try:
            with meter:
                if path.startswith(PLACE):
                    await self._content(scope, receive, watched)
                else:
                    await _send(watched, 200, msgspec.json.encode(await self._call(scope, receive)))
        except Disconnected:
            return
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if status:
                raise
            await self._services.refusals.note(scope.get("actor"), error)
            await _refuse(watched, error)
        finally:
            seconds = time.perf_counter() - begun
            meter.note(status, seconds)
            actor = scope.get("actor")
            self._access.note(meter, status, seconds, request_id, actor.id if actor is not None else None)

    async def _call(self, scope: Scope, receive: Receive) -> Any:
        await self._refuse_other_tokens(scope)
        entry = self._calls.get(scope["path"])
        if entry is None:
            await drain(receive)
            raise NotFound(
                f"{scope['path'][:200]} is not answered by this server; docs/acai.md tells what is", code="no-such-path"
            )
        if scope["method"] not in entry.method.split():
            raise HttpProblem(
                405,
                "This method is not known here",
                f"{scope['path']} takes {entry.method}",
                code="method-not-allowed",
                headers={"allow": entry.method.replace(" ", ", ")},
            )
        values = await _values(scope, receive)
        actor = await self._actor(scope, values, "admin_token" if entry.open else "token")
        account = await self._services.db.glance(_account_of, actor, entry.open)
        links = Links(self._services.vault, self._services.clock, self._settings.link_seconds, _base(scope))
        return await entry.handler(
            Call(
                services=self._services,
                settings=self._settings,
                links=links,
                actor=actor,
                account=account,
                values=values,
            )
        )

    async def _actor(self, scope: Scope, values: Mapping[str, Any], name: str) -> Actor:
        authenticator = self._services.authenticator
        secret = values.get(name)
        if not isinstance(secret, str) or not secret:
            raise Unauthenticated(f"the request carries no {name}", code="token-missing")
        if name == "token" and not secret.startswith(TOKEN):
            raise Unauthenticated(
                "this is no token of a project; use the one that create_project or create_user answered",
                code="no-project",
            )
        actor = authenticator.located(await authenticator.actor_of(secret.encode("utf-8", "replace")), scope)
        scope["actor"] = actor
        self._services.limits.request(actor.id)
        return actor

    async def _refuse_other_tokens(self, scope: Scope) -> None:
        """Tokens of another kind do not belong into an address here either; ACAI's are in one by its design."""
        path, query = scope.get("raw_path") or b"", scope["query_string"]
        found = tokens_in_address(query, path)
        in_path = tokens_in_address(b"", path)
        if in_path or any(not secret.startswith(TOKEN) for secret in found):
            await self._services.authenticator.refuse_in_address(query, path)

    async def _content(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "PUT":
            await upload(self._services, scope, receive)
            await _send(send, 200, b"")
        elif scope["method"] in ("GET", "HEAD"):
            await download(self._services, scope, receive, send)
        else:
            raise HttpProblem(405, "Method", "this address takes PUT or GET", code="method-not-allowed")


async def _values(scope: Scope, receive: Receive) -> Mapping[str, Any]:
    try:
        query = parse_qsl(
            scope["query_string"].decode("ascii"), keep_blank_values=True, strict_parsing=False, errors="strict"
        )
    except (UnicodeDecodeError, ValueError) as error:
        raise Invalid("the query is not percent-encoded UTF-8", code="bad-query") from error
    values: dict[str, Any] = dict(query)
    if scope["method"] == "POST":
        body = await read_body(scope, receive, MAX_BODY)
        try:
            given = msgspec.json.decode(body) if body.strip() else {}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid(f"the body is not JSON: {error}", code="bad-json") from error
        if not isinstance(given, dict):
            raise Invalid("the body is no JSON object", code="bad-json")
        values = given
    if any(isinstance(value, str) and "\0" in value for value in values.values()):
        raise Invalid("a value holds a NUL character; remove it", code="nul-character")
    return values


def _account_of(uow: UnitOfWork, actor: Actor, own: bool) -> Any:
    return get_account(uow, actor.account_id) if own else project_of(uow, actor)


def _base(scope: Scope) -> str:
    """Where the client reaches the server."""
    headers = dict(scope["headers"])
    host = headers.get(b"host", b"").decode("latin-1")
    if not host:
        name, port = scope.get("server") or ("127.0.0.1", 80)
        host = f"{name}:{port}"
    return f"{scope.get('scheme', 'http')}://{host}"


async def _send(send: Send, status: int, body: bytes, kind: bytes = b"application/json") -> None:
    head = [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def _refuse(send: Send, error: BaseException) -> None:
    """The client shows the body as it is: `RequestFailedException: Entity my_output:0 does not exist.`"""
    problem, _ = describe(error)
    text = f"RequestFailedException: {problem.detail}"
    await _send(send, problem.status, text.encode("utf-8", "backslashreplace"), b"text/plain; charset=utf-8")
