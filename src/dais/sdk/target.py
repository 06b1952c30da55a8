"""Where requests go, and as whom: with a bearer token, or a pair of keys that signs them."""

from __future__ import annotations

import ipaddress
import secrets
import ssl
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

from dais import __version__
from dais.wire.signatures import sign

CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 60.0


@dataclass(frozen=True)
class Target:
    """Where requests go, and as whom: with a bearer token, or a pair `ACCESS:SECRET`, which signs.

    `token_origin` says where the token was found, for messages.
    """

    url: str
    token: str | None = field(repr=False)
    token_origin: str = ""

    def options(self) -> dict[str, Any]:
        """What both httpx2 clients are made with. A machine's own address is never asked for through a proxy."""
        headers = {"user-agent": f"dais/{__version__}", "accept": "application/json, */*;q=0.5"}
        pair = self._pair()
        if self.token and pair is None:
            headers["authorization"] = f"Bearer {self.token}"
        url = urlsplit(self.url)
        near = is_loopback(url.hostname or "")
        # Reading the authorities takes as long as a command otherwise does; without TLS nobody is trusted.
        trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if near and url.scheme == "http" else True
        return {
            "auth": pair,
            "base_url": self.url,
            "headers": headers,
            "timeout": httpx2.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT),
            "trust_env": not near,
            "verify": trusted,
            "follow_redirects": False,
        }

    def credentials(self, method: str, raw_path: str) -> dict[str, str]:
        """The headers that say who asks, for a request without a body that is made otherwise (a WebSocket)."""
        pair = self._pair()
        if pair is not None:
            return pair.headers(method, raw_path, None)
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def _pair(self) -> PairAuth | None:
        access_key, colon, secret = (self.token or "").partition(":")
        return PairAuth(access_key, secret) if colon else None


class PairAuth(httpx2.Auth):
    """Signs each request with a pair; the secret is not sent. A body that is streamed is not covered."""

    def __init__(self, access_key: str, secret: str) -> None:
        self._access_key = access_key
        self._secret = secret

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Add the three headers, and send."""
        body = request.content if isinstance(request.stream, httpx2.ByteStream) else None
        request.headers.update(self.headers(request.method, request.url.raw_path.decode("ascii"), body))
        yield request

    def headers(self, method: str, raw_path: str, body: bytes | None) -> dict[str, str]:
        """The headers that sign a request now."""
        path, _, query = raw_path.partition("?")
        nonce = secrets.token_urlsafe(16)
        return sign(self._access_key, self._secret, method, path, query, body, int(time.time()), nonce)


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
