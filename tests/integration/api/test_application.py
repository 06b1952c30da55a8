"""Requests to a real server: who asks, what comes back, and how failures are told."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import pytest

from dais.api import Context, Reply, Routes, all_routes
from dais.identity import create_token, create_user, revoke_token
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import Conflict, DaisError, Forbidden, Invalid, NotFound, TooMany, Unauthenticated, Unavailable
from tests.support.serving import Api, api

FAMILIES: dict[str, tuple[type[DaisError], int]] = {
    "invalid": (Invalid, 400),
    "unauthenticated": (Unauthenticated, 401),
    "forbidden": (Forbidden, 403),
    "not-found": (NotFound, 404),
    "conflict": (Conflict, 409),
    "too-many": (TooMany, 429),
    "unavailable": (Unavailable, 503),
}

routes = Routes()


class Text(msgspec.Struct, forbid_unknown_fields=True):
    text: str


@routes.get("/v1/test/fail/{family}", summary="Fail", own="it is of this test")
async def fail(ctx: Context, family: str) -> None:
    if family not in FAMILIES:
        raise ZeroDivisionError("a secret of the inside")
    raise FAMILIES[family][0](f"it is {family}", code=f"was-{family}", retry_after=2.2, path=Path("/x"))


@routes.get("/v1/test/odd", summary="Odd", own="it is of this test")
async def odd(ctx: Context) -> None:
    raise Invalid("the name is \udcff", code="odd", name="\udcff")


@routes.post("/v1/test/echo", summary="Echo", max_body=1000, own="it is of this test")
async def echo(ctx: Context, body: Text) -> Reply[str]:
    return Reply(body.text, 202, (("X-Length", str(len(body.text))),))


@routes.get("/v1/test/names/{name}", summary="Name", own="it is of this test")
async def name(ctx: Context, name: str) -> str:
    return name


@routes.get("/v1/test/names/fixed", summary="Fixed", own="it is of this test")
async def fixed(ctx: Context) -> str:
    return "the fixed one"


@routes.delete("/v1/test/names/{name}", summary="Remove", own="it is of this test")
async def remove(ctx: Context, name: str) -> None:
    return None


@pytest.fixture
def server(database: Database, tmp_path: Path) -> Iterator[Api]:
    with api(database, [*routes.all, *all_routes()], tmp_path) as running:
        yield running


def problem(answer: Any, status: int, code: str) -> Any:
    assert (answer.status, answer.json["code"]) == (status, code), answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json) == {"type", "title", "status", "detail", "code", "fields", "instance"}
    assert answer.json["status"] == status
    return answer.json


def test_health_and_version_need_no_token_and_all_else_does(server: Api) -> None:
    assert server.ask("GET", "/v1/health", token=None).json == {"status": "ok"}
    assert server.ask("GET", "/v1/version", token=None).json["api"] == 1
    for route in all_routes():
        if route.public or route.kind == "websocket":
            continue
        path = route.path.replace("{", "").replace("}", "")
        answer = server.ask(route.method, path, token=None)
        problem(answer, 401, "token-missing")
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_bearer_of_the_token_is_known(server: Api) -> None:
    me = server.ask("GET", "/v1/me").json
    assert (me["name"], me["account"], me["administrator"]) == ("ann", "local.ann", True)


@pytest.mark.parametrize("secret", ["", "x", "dais_user_" + "0" * 43, "dais_user_" + "0" * 42, "é", "a b"])
def test_a_wrong_token_is_refused(server: Api, secret: str) -> None:
    problem(server.ask("GET", "/v1/me", token=secret), 401, "token-unknown")


def test_another_scheme_is_refused(server: Api) -> None:
    answer = server.ask("GET", "/v1/me", token=None, headers={"Authorization": "Basic YTpi"})
    assert "Bearer TOKEN" in problem(answer, 401, "token-missing")["detail"]


def test_a_revoked_token_is_refused_by_the_next_request(server: Api) -> None:
    db, ann = server.services.db, server.administrator
    actor = _actor(server)
    for _ in range(20):
        token = db.write_sync(create_token, actor)
        assert server.ask("GET", "/v1/me", token=token.secret).status == 200
        db.write_sync(revoke_token, actor, token.id)
        problem(server.ask("GET", "/v1/me", token=token.secret), 401, "token-revoked")
    assert server.ask("GET", "/v1/me", token=ann.token.secret).status == 200


def test_a_token_ends_at_its_time(server: Api, clock: ManualClock) -> None:
    token = server.services.db.write_sync(create_token, _actor(server), expires_at=clock.now() + 10_000_000)
    assert server.ask("GET", "/v1/me", token=token.secret).status == 200
    clock.advance(10)
    problem(server.ask("GET", "/v1/me", token=token.secret), 401, "token-expired")


def test_a_token_in_the_address_is_refused_and_revoked(server: Api) -> None:
    db, actor = server.services.db, _actor(server)
    for place in ("/v1/me?token={}", "/v1/health?x=a{}b", "/v1/nowhere/{}", "/v1/me?token={percent}"):
        secret = db.write_sync(create_token, actor).secret
        percent = "".join(f"%{ord(character):02x}" for character in secret)
        answer = server.ask("GET", place.format(secret, percent=percent), token=None)
        assert secret not in problem(answer, 401, "token-in-address")["detail"]
        problem(server.ask("GET", "/v1/me", token=secret), 401, "token-revoked")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_its_status(server: Api, family: str) -> None:
    answer = server.ask("GET", f"/v1/test/fail/{family}")
    told = problem(answer, FAMILIES[family][1], f"was-{family}")
    assert told["detail"] == f"it is {family}"
    assert told["type"] == f"urn:dais:problem:was-{family}"
    assert told["fields"] == {"retry_after": 2.2, "path": "/x"}
    assert answer.headers["retry-after"] == "3"


def test_what_nobody_expected_is_told_by_a_reference_that_is_in_the_log(
    server: Api, caplog: pytest.LogCaptureFixture
) -> None:
    told = problem(server.ask("GET", "/v1/test/fail/otherwise"), 500, "internal-error")
    assert "secret of the inside" not in json.dumps(told)
    (record,) = [record for record in caplog.records if told["fields"]["reference"] in record.getMessage()]
    assert record.exc_info is not None


def test_a_failure_with_text_that_is_no_unicode_is_told(server: Api) -> None:
    told = problem(server.ask("GET", "/v1/test/odd"), 400, "odd")
    assert told["detail"] == "the name is \\udcff"


def test_an_answer_may_have_its_own_status_and_headers(server: Api) -> None:
    answer = server.ask("POST", "/v1/test/echo", '{"text":"hé"}'.encode())
    assert (answer.status, answer.json, answer.headers["x-length"]) == (202, "hé", "2")


def test_nothing_to_say_is_204(server: Api) -> None:
    answer = server.ask("DELETE", "/v1/test/names/x")
    assert (answer.status, answer.body) == (204, b"")


def test_a_large_body_is_refused_before_it_is_read(server: Api) -> None:
    connection = server.connect()
    connection.putrequest("POST", "/v1/test/echo")
    connection.putheader("Authorization", f"Bearer {server.administrator.token.secret}")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders(b"x" * 10)
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["fields"] == {"limit": 1000}
    connection.close()


def test_a_large_body_in_chunks_is_refused(server: Api) -> None:
    connection = server.connect()
    headers = {"Authorization": f"Bearer {server.administrator.token.secret}"}
    connection.request("POST", "/v1/test/echo", iter([b"x" * 600] * 3), headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_a_body_in_chunks_is_put_together(server: Api) -> None:
    connection = server.connect()
    headers = {"Authorization": f"Bearer {server.administrator.token.secret}", "Transfer-Encoding": "chunked"}
    connection.request("POST", "/v1/test/echo", iter([b'{"te', b'xt":"a', b'b"}']), headers, encode_chunked=True)
    assert json.loads(connection.getresponse().read()) == "ab"
    connection.close()


def test_a_client_that_goes_in_the_midst_of_its_body_is_no_error(server: Api, caplog: pytest.LogCaptureFixture) -> None:
    place = urlsplit(server.url)
    assert place.hostname is not None
    with socket.create_connection((place.hostname, place.port or 0)) as sock:
        head = (
            f"POST /v1/test/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.administrator.token.secret}\r\n"
        )
        sock.sendall(f"{head}Content-Length: 100\r\n\r\nabc".encode())
    assert server.ask("GET", "/v1/health").status == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("text", ["plain", "with space", "acme.joe./.ssh", "100%", "häß", "a?b#c", "..", "%2F"])
def test_names_in_paths_arrive_as_they_are(server: Api, text: str) -> None:
    assert server.ask("GET", f"/v1/test/names/{quote(text, safe='')}").json == text


def test_a_name_that_is_no_utf8_is_refused(server: Api) -> None:
    problem(server.ask("GET", "/v1/test/names/%ff"), 400, "bad-path")
    problem(server.ask("GET", "/v1/test/names/a%00b"), 400, "nul-character")


def test_a_fixed_path_goes_before_a_name(server: Api) -> None:
    assert server.ask("GET", "/v1/test/names/fixed").json == "the fixed one"
    assert server.ask("DELETE", "/v1/test/names/fixed").status == 405


def test_what_is_not_there_is_told_with_the_nearest(server: Api) -> None:
    told = problem(server.ask("GET", "/v1/acounts", token=None), 404, "no-such-path")
    assert "did you mean /v1/accounts?" in told["detail"]
    problem(server.ask("GET", "/v1/test/names/"), 404, "no-such-path")
    problem(server.ask("GET", "/"), 404, "no-such-path")


def test_another_method_is_told_with_those_that_are_possible(server: Api) -> None:
    answer = server.ask("PATCH", "/v1/test/names/x")
    assert problem(answer, 405, "method-not-allowed")["fields"] == {"allowed": ["DELETE", "GET", "HEAD"]}
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS"
    options = server.ask("OPTIONS", "/v1/test/names/x", token=None)
    assert (options.status, options.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS")


def test_head_is_get_without_the_body(server: Api) -> None:
    get, head = server.ask("GET", "/v1/me"), server.ask("HEAD", "/v1/me")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(get.body))
    assert server.ask("HEAD", "/v1/me", token=None).status == 401


def test_connections_are_kept(server: Api) -> None:
    connection = server.connect()
    headers = {"Authorization": f"Bearer {server.administrator.token.secret}"}
    for path, status in (("/v1/me", 200), ("/v1/nothing", 404), ("/v1/me", 200)):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.close()


def test_accounts_are_made_listed_and_seen_by_their_members_only(server: Api) -> None:
    db, actor = server.services.db, _actor(server)
    joe = db.write_sync(create_user, actor, "joe")
    token = db.write_sync(create_token, actor, user_id=joe.id).secret
    made = server.ask("POST", "/v1/accounts", '{"name":"lab"}')
    assert (made.status, made.json["full_name"]) == (201, "local.lab")
    below = server.ask("POST", "/v1/accounts", '{"name":"x","parent":"lab"}')
    assert below.json["full_name"] == "local.lab.x"
    first = server.ask("GET", "/v1/accounts?limit=3").json
    rest = server.ask("GET", f"/v1/accounts?limit=3&cursor={first['cursor']}").json
    names = [account["full_name"] for account in first["items"] + rest["items"]]
    assert names == ["local.ann", "local.joe", "local.lab", "local.lab.x"]
    assert rest["cursor"] is None
    mine = server.ask("GET", "/v1/accounts", token=token).json["items"]
    assert [account["full_name"] for account in mine] == ["local.joe"]
    problem(server.ask("GET", "/v1/accounts/local.lab", token=token), 404, "no-such-account")
    problem(server.ask("POST", "/v1/accounts", '{"name":"y"}', token=token), 403, "not-allowed")
    problem(server.ask("GET", "/v1/accounts?cursor=x"), 400, "bad-cursor")
    problem(server.ask("GET", "/v1/accounts?limit=0"), 400, "bad-limit")


def test_the_description_is_served(server: Api) -> None:
    assert server.ask("GET", "/v1/openapi.json").json["openapi"] == "3.1.0"


def _actor(server: Api) -> Any:
    from dais.identity import authenticate

    return server.services.db.read_sync(authenticate, server.administrator.token.secret).actor
