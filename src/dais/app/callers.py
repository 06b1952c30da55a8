"""What the proxy to apps asks of the API: the same callers, known by the same rules."""

from __future__ import annotations

from typing import Any

from dais.api import Authenticator, tokens_in_address
from dais.api.errors import HttpProblem
from dais.identity import Actor


class ApiCallers:
    """Answers by the API's authenticator."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    async def bearer(self, secret: bytes) -> Actor:
        """The actor of a token. Raises Unauthenticated."""
        return await self._authenticator.actor_of(secret)

    def address(self, peer: str, fields: list[tuple[bytes, bytes]]) -> str:
        return self._authenticator.addresses.of(_scope(peer, fields))

    def secured(self, peer: str, fields: list[tuple[bytes, bytes]]) -> bool:
        return self._authenticator.addresses.secured(_scope(peer, fields))

    async def refuse_address(self, target: bytes) -> str | None:
        """What to say to a request whose address holds tokens, which are revoked."""
        path, _, query = target.partition(b"?")
        if not tokens_in_address(query, path):
            return None
        try:
            await self._authenticator.refuse_in_address(query, path)
        except HttpProblem as error:
            return error.problem.detail
        return None


def _scope(peer: str, fields: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {"client": (peer, 0), "headers": fields}
