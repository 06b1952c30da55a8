"""What the proxy asks of the rest of the server; the composition root answers."""

from __future__ import annotations

from typing import Protocol

from dais.identity import Actor


class Callers(Protocol):
    """Who a request is from, by the same rules as everywhere."""

    async def bearer(self, secret: bytes) -> Actor:
        """The actor of a token. Raises Unauthenticated."""
        ...

    def address(self, peer: str, fields: list[tuple[bytes, bytes]]) -> str:
        """Where a request came from: `peer`, or what a trusted proxy says. Names of fields are in lower case."""
        ...

    def secured(self, peer: str, fields: list[tuple[bytes, bytes]]) -> bool:
        """Whether a trusted proxy took it over TLS."""
        ...

    async def refuse_address(self, target: bytes) -> str | None:
        """What to say to a request whose address holds tokens, which are revoked; None when it holds none."""
        ...
