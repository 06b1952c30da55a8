"""What an app sees of a request, and a browser of an app's answer."""

from __future__ import annotations

import pytest

from dais.proxy.http.heads import BadHead, head_end, read_answer, read_request
from dais.proxy.http.onward import Onward, onward_answer, onward_request
from dais.proxy.proxy import inside

TOKEN = b"dais_user_" + b"A" * 43


def sent(*fields: bytes, method: bytes = b"GET", secured: bool = False, prefix: bytes = b"") -> Onward:
    data = method + b" / HTTP/1.1\r\nHost: Web.job.localhost:80\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n"
    return onward_request(read_request(data, head_end(data))[0], "192.0.2.7", secured, prefix)


def seen(*fields: bytes, **more: bytes) -> list[bytes]:
    return sent(*fields, **more).block.split(b"\r\n")[:-1]  # type: ignore[arg-type]


ALWAYS = [
    b"Host: web.job.localhost:80",
    b"X-Forwarded-For: 192.0.2.7",
    b"X-Forwarded-Proto: http",
    b"X-Forwarded-Host: web.job.localhost:80",
]


def test_what_is_about_one_connection_does_not_go_on() -> None:
    assert (
        seen(
            b"Connection: keep-alive, X-Mine",
            b"Keep-Alive: 5",
            b"X-Mine: 1",
            b"TE: trailers",
            b"Trailer: x",
            b"Proxy-Authorization: Basic x",
            b"Upgrade: h2c",
            b"HTTP2-Settings: x",
            b"Content-Length: 0",
        )
        == ALWAYS
    )


def test_who_forwarded_it_is_said_by_us_alone() -> None:
    assert (
        seen(b"X-Forwarded-For: 127.0.0.1", b"x-forwarded-host: evil", b"Forwarded: for=1", b"X-Real-IP: 1") == ALWAYS
    )
    assert b"X-Forwarded-Proto: https" in seen(secured=True)  # type: ignore[arg-type]


def test_our_token_is_taken_out_and_the_apps_own_is_not() -> None:
    ours = sent(b"Authorization: Bearer " + TOKEN)
    assert ours.bearer == TOKEN
    assert TOKEN not in ours.block
    theirs = sent(b"Authorization: token abc")
    assert theirs.bearer is None
    assert b"Authorization: token abc" in theirs.block
    assert TOKEN not in sent(b"X-Api-Key: " + TOKEN).block
    with pytest.raises(BadHead):
        sent(b"Authorization: Bearer " + TOKEN, b"Authorization: Bearer " + TOKEN)


def test_our_cookies_are_taken_out_however_they_are_written() -> None:
    cookies = b"Cookie: a=1; dais_session=s; DAIS_app_12345678=x;__Host-dais_app_1=y; b=dais_; c=2=3;  d=4"
    assert b"Cookie: a=1; b=dais_; c=2=3; d=4" in seen(cookies)
    assert not any(line.startswith(b"Cookie") for line in seen(b"Cookie: dais_session=s", b"Cookie: dais_x=1"))
    assert b"Cookie: a=1; b=2" in seen(b"Cookie: a=1", b"Cookie: b=2; dais_session=x")


def test_where_apps_share_a_host_each_sees_its_own_cookies() -> None:
    own = seen(b"Cookie: app-1.a=1; app-2.a=2; a=3; app-1.dais_session=4", prefix=b"app-1.")
    assert b"Cookie: a=1" in own


def answered(*fields: bytes, prefix: bytes = b"") -> list[bytes]:
    data = b"HTTP/1.1 200 OK\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n"
    return onward_answer(read_answer(data, head_end(data)), prefix, upgrade=False).split(b"\r\n")[1:-1]


def test_an_apps_cookies_stay_with_its_host() -> None:
    assert answered(b"Set-Cookie: a=1; Domain=job.localhost; Path=/; dOmAiN = x; HttpOnly") == [
        b"Set-Cookie: a=1; Path=/; HttpOnly"
    ]
    assert answered(b"Set-Cookie: a=1; Path=/", prefix=b"app-1.") == [b"Set-Cookie: app-1.a=1; Path=/"]
    for refused in (b"dais_session=x", b"DAIS_app_1=x", b"__Host-dais_session=x; Secure", b"=dais_session=x", b"x"):
        assert answered(b"Set-Cookie: " + refused) == []


def test_an_app_speaks_for_its_own_origin_alone() -> None:
    assert answered(
        b"Clear-Site-Data: *", b"Strict-Transport-Security: max-age=1", b"Alt-Svc: h2", b"Connection: X-A", b"X-A: 1",
        b"Location: /next",
    ) == [b"Location: /next"]  # fmt: skip


def test_it_is_told_who_sends_what() -> None:
    own = b"Origin: http://web.job.localhost:80"
    assert sent(own, method=b"POST").navigation == "own"
    assert sent(b"Sec-Fetch-Site: same-origin").navigation == "own"
    assert sent(b"Sec-Fetch-Site: none").navigation == "own"
    link = (b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate")
    assert sent(*link, b"Sec-Fetch-Dest: document").navigation == "top"
    assert sent(*link, b"Sec-Fetch-Dest: iframe").navigation == "foreign"
    assert sent(b"Sec-Fetch-Site: same-site").navigation == "foreign"
    assert sent(b"Origin: http://other.job.localhost:80").navigation == "foreign"
    assert sent(b"Origin: null").navigation == "foreign"
    upgrade = (b"Connection: upgrade", b"Upgrade: websocket")
    assert sent(*upgrade).navigation == "foreign"
    assert sent(*upgrade, own).navigation == "own"
    assert sent(*upgrade, own, b"Sec-Fetch-Site: same-site").navigation == "foreign"


@pytest.mark.parametrize(
    "address",
    [
        "//evil",
        "/\\evil",
        "http://evil",
        "",
        "evil",
        "/a\r\nSet-Cookie: x",
        "/\u00e9",
        "/.dais/enter?ticket=x",
        "/" * 9000,
    ],
)
def test_the_way_in_leads_nowhere_else(address: str) -> None:
    assert inside(address) == "/"


def test_the_way_in_leads_to_where_one_wanted() -> None:
    assert inside("/lab/tree/a%2Fb?x=1&y=//z") == "/lab/tree/a%2Fb?x=1&y=//z"
