"""Where requests go, and as whom: with a bearer token, or a pair of keys that signs them.

Named tuples, here and in `profiles`: every command makes these classes, and dataclasses take several times as long.
"""

from __future__ import annotations

import time
from typing import NamedTuple

CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 60.0


class Target(NamedTuple):
    """Where requests go, and as whom: with a bearer token, or a pair `ACCESS:SECRET`, which signs.

    `token_origin` says where the token was found, for messages.
    """

    url: str
    token: str | None
    token_origin: str = ""

    def __repr__(self) -> str:
        return f"Target({self.url!r})"

    def credentials(self, method: str, raw_path: str) -> dict[str, str]:
        """The headers that say who asks, for a request without a body that is made otherwise (a WebSocket)."""
        pair = self.pair
        if pair is not None:
            return pair.headers(method, raw_path, None)
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def pair(self) -> Pair | None:
        """The pair that requests are signed with, where the token is one."""
        access_key, colon, secret = (self.token or "").partition(":")
        return Pair(access_key, secret) if colon else None


class Pair(NamedTuple):
    """An access key and its secret, which is not sent."""

    access_key: str
    secret: str

    def __repr__(self) -> str:
        return f"Pair({self.access_key!r})"

    def headers(self, method: str, raw_path: str, body: bytes | None) -> dict[str, str]:
        """The headers that sign a request now."""
        import secrets  # few sign, and all would wait for what this imports

        from dais.wire.signatures import sign

        path, _, query = raw_path.partition("?")
        nonce = secrets.token_urlsafe(16)
        return sign(self.access_key, self.secret, method, path, query, body, int(time.time()), nonce)


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine."""
    if host in ("localhost", "127.0.0.1", "::1") or host.endswith(".localhost"):
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
