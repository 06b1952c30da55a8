"""Cookies at the border between a browser and an app: ours are never told to the app, its own stay with its host."""

from __future__ import annotations

import re
from collections.abc import Iterable

OURS = re.compile(rb"(?:__host-|__secure-)?dais_", re.IGNORECASE)
"""How the names of Dais's own cookies begin, those of its pages and those for apps."""
APP_COOKIE = "dais_app_"
"""The cookie that opens a job's apps, followed by the job's short id."""
STATE_COOKIE = "dais_enter"
"""What a browser must bring back from the hand-over."""
_name = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
MOST_COOKIES = 300


def split(values: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """The cookies of a request, in their order; one without a `=` has no name and is nobody's."""
    found = []
    for value in values:
        for part in value.split(b";", MOST_COOKIES)[:MOST_COOKIES]:
            name, equals, text = part.strip(b" \t").partition(b"=")
            if equals:
                found.append((name, text))
    return found


def named(cookies: Iterable[tuple[bytes, bytes]], name: str, secured: bool) -> list[str]:
    """The values of our cookie of that name: there may be several, for scripts of one host can set some for others."""
    wanted = cookie_name(name, secured).encode()
    return [value.decode("latin-1") for one, value in cookies if one == wanted]


def cookie_name(name: str, secured: bool, path: str = "/") -> str:
    """With TLS the browser is told to take the cookie from this host alone."""
    if not secured:
        return name
    return f"__Host-{name}" if path == "/" else f"__Secure-{name}"


def for_app(cookies: Iterable[tuple[bytes, bytes]], prefix: bytes) -> bytes:
    """The Cookie field that an app is to see; b"" for none.

    `prefix` is what its cookies carry in browsers where several apps share a host by their ports.
    """
    kept = []
    for name, value in cookies:
        if OURS.match(name) or not name.startswith(prefix):
            continue
        name = name[len(prefix) :]
        if not OURS.match(name):
            kept.append(name + b"=" + value)
    return b"; ".join(kept)


def from_app(value: bytes, prefix: bytes) -> bytes | None:
    """What becomes of an app's Set-Cookie: without a Domain, under its own name; None when it is refused."""
    pair, *attributes = value.split(b";")
    name, equals, text = pair.strip(b" \t").partition(b"=")
    if not equals or _name.fullmatch(name) is None or OURS.match(name):
        return None
    kept = [prefix + name + b"=" + text]
    for attribute in attributes:
        word = attribute.strip(b" \t")
        if word and word.partition(b"=")[0].strip(b" \t").lower() != b"domain":
            kept.append(word)
    return b"; ".join(kept)


def set_cookie(name: str, value: str, secured: bool, *, path: str = "/", seconds: int) -> bytes:
    """The value of a Set-Cookie of ours, for this host alone and out of scripts' reach; 0 seconds drop it."""
    text = f"{cookie_name(name, secured, path)}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax"
    return (text + "; Secure" if secured else text).encode()
