"""What goes on of heads: a request's to the app, an answer's to the client. Each is written anew."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dais.proxy.cookies import APP_COOKIE, cookie_name, for_app, from_app, split
from dais.proxy.http.heads import AnswerHead, BadHead, Block, RequestHead

_host = re.compile(rb"([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.IGNORECASE)
_ours = re.compile(rb"dais_[a-z]+_[0-9A-Za-z]{43}")
_basic = b"authorization"
_dropped = frozenset(
    (
        b"host",
        b"cookie",
        b"content-length",
        b"expect",
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-real-ip",
    )
)
"""Fields of a request that are written anew, or that only we may say."""
_kept_back = frozenset(
    (b"content-length", b"set-cookie", b"set-cookie2", b"strict-transport-security", b"alt-svc", b"clear-site-data")
)
"""Fields of an answer that are written anew, or that would speak for more than the app's own origin."""


@dataclass(slots=True)
class Onward:
    """What the fields of a request mean to us, and what the app is to see of them."""

    host: bytes
    """As it was sent, in lower case."""
    name: bytes
    """The same without its port."""
    bearer: bytes | None
    seals: tuple[tuple[bytes, bytes], ...]
    """Cookies that may open an app: name and value."""
    cookies: tuple[tuple[bytes, bytes], ...]
    block: bytes
    """The fields for the app, without those about the body and without the last line end."""
    secured: bool
    navigation: str
    """`own`: the app's own page (or no browser) sends it; `top`: a link from elsewhere; `foreign`: another's page."""
    html: bool
    """Whether a person waits for a page."""
    upgrade: bytes | None
    expects: bool


def host_of(block: Block) -> tuple[bytes, bytes]:
    """The one host that a request names: with its port, and without. Raises BadHead."""
    hosts = block.all(b"host")
    if len(hosts) != 1:
        raise BadHead("there is not exactly one Host")
    found = _host.fullmatch(hosts[0])
    if found is None:
        raise BadHead("Host is no NAME:PORT")
    return hosts[0].lower(), found[1].lower()


def onward_request(head: RequestHead, address: str, secured: bool, prefix: bytes) -> Onward:
    """Everything of a request but its first line. `address` is the client's. Raises BadHead."""
    block = head.block
    host, name = host_of(block)
    upgrade = head.upgrade
    if upgrade is not None and (upgrade.lower() != b"websocket" or head.method != b"GET"):
        upgrade = None  # it may ask; who does not know the protocol answers as if it had not
    lines = [b"Host: " + host]
    bearer, expects = None, False
    hop = block.hop
    for low, sent, value in block.fields:
        if low in hop:
            continue
        if low in _dropped:
            if low == b"expect":
                if value.lower() != b"100-continue":
                    raise BadHead("Expect is not 100-continue", 417)
                expects = head.modern
            continue
        if low == _basic:
            if bearer is not None:
                raise BadHead("there are two Authorization fields")
            if _ours.search(value):
                bearer = value[7:].strip() if value[:7].lower() == b"bearer " else value
                continue
        elif _ours.search(value) and low.startswith((b"x-", b"proxy-")):
            continue
        lines.append(sent + b": " + value)
    cookies = tuple(split(block.all(b"cookie")))
    own = for_app(cookies, prefix) if cookies else b""
    if own:
        lines.append(b"Cookie: " + own)
    proto = b"https" if secured else b"http"
    lines.append(b"X-Forwarded-For: " + address.encode("latin-1", "replace"))
    lines.append(b"X-Forwarded-Proto: " + proto + b"\r\nX-Forwarded-Host: " + host)
    if upgrade is not None:
        lines.append(b"Connection: Upgrade\r\nUpgrade: websocket")
    start = cookie_name(APP_COOKIE, secured).encode()
    return Onward(
        host=host,
        name=name,
        bearer=bearer,
        seals=tuple([pair for pair in cookies if pair[0].startswith(start)][:20]),
        cookies=cookies,
        block=b"\r\n".join(lines) + b"\r\n",
        secured=secured,
        navigation=_navigation(block, host, upgrade is not None),
        html=_wants_page(block),
        upgrade=upgrade,
        expects=expects,
    )


def _navigation(block: Block, host: bytes, upgrade: bool) -> str:
    site, origin = block.get(b"sec-fetch-site"), block.get(b"origin")
    if origin is not None and origin.partition(b"://")[2].lower() != host:
        return "foreign"
    if site is None:
        return "foreign" if upgrade and origin is None else "own"
    if site in (b"same-origin", b"none"):
        return "own"
    top = block.get(b"sec-fetch-mode") == b"navigate" and block.get(b"sec-fetch-dest") == b"document"
    return "top" if top and not upgrade else "foreign"


def _wants_page(block: Block) -> bool:
    mode = block.get(b"sec-fetch-mode")
    if mode is not None:
        return mode == b"navigate"
    return b"text/html" in (block.get(b"accept") or b"")


def onward_answer(head: AnswerHead, prefix: bytes, upgrade: bool) -> bytes:
    """An answer's head for the client, without what says how long its body is and without the last line end."""
    hop = head.block.hop
    lines = [b"HTTP/1.1 %d %s" % (head.status, head.reason)]
    for low, sent, value in head.block.fields:
        if low in hop:
            continue
        if low in _kept_back:
            if low == b"set-cookie":
                kept = from_app(value, prefix)
                if kept is not None:
                    lines.append(b"Set-Cookie: " + kept)
            continue
        lines.append(sent + b": " + value)
    if upgrade:
        lines.append(b"Connection: Upgrade\r\nUpgrade: websocket")
    return b"\r\n".join(lines) + b"\r\n"
