"""Bearer tokens: from the header only. One that shows up in an address is refused and revoked."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from dais.api.addresses import Addresses
from dais.api.errors import HttpProblem
from dais.api.signed import Signatures
from dais.identity import Actor, Authenticated, authenticate, revoke_secret, touch_tokens
from dais.kit.database import Database
from dais.kit.errors import Unauthenticated
from dais.kit.vault import Vault

log = logging.getLogger(__name__)

CACHE_SIZE = 10_000

_none: frozenset[str] = frozenset()
_secret = re.compile(rb"dais_[a-z]+_[0-9A-Za-z]{43}")


def tokens_in_address(query: bytes, path: bytes) -> frozenset[str]:
    """The tokens that a request's query or path holds, percent-encoded or not."""
    address = path + b"?" + query if query else path
    if b"dais_" not in address and b"%" not in address:
        return _none
    return frozenset(secret.decode() for secret in _secret.findall(unquote_to_bytes(address)))


def refusal_of_address() -> HttpProblem:
    """The answer to a request whose address held tokens, which have been revoked."""
    log.warning("a token was sent in an address and has been revoked")
    return HttpProblem(
        401,
        "Who is asking is not known",
        "a token was sent in the address, where others can read it; it has been revoked. "
        "Send tokens in the header Authorization: Bearer TOKEN (lost it? `dais up --new-token` makes another)",
        code="token-in-address",
        headers={"www-authenticate": 'Bearer realm="dais"'},
    )


@dataclass(frozen=True, slots=True)
class _Known:
    found: Authenticated
    generation: int


class Authenticator:
    """Who a request's token belongs to.

    What it has read is remembered only on SQLite, where every change passes through this process: a revocation's
    commit empties the memory before the revocation is answered. With several servers on PostgreSQL every request
    asks the database. Uses are noted here and written by `flush`, at most once a minute for each token.
    """

    def __init__(self, db: Database, vault: Vault | None = None, addresses: Addresses | None = None) -> None:
        self._db = db
        self.addresses = addresses or Addresses()
        self._signatures = Signatures(db, vault) if vault is not None else None
        self._remembers = db.dialect == "sqlite"
        self._known: dict[bytes, _Known] = {}
        self._generation = 0
        self._used: dict[str, int] = {}
        db.hints.listen("identity", self._forget)

    async def actor(self, scope: dict[str, Any]) -> Actor:
        """The actor of a request, by its bearer token or its signature. Raises Unauthenticated."""
        return self.located(await self._actor(scope), scope)

    def located(self, actor: Actor, scope: dict[str, Any]) -> Actor:
        """The actor, at the address that a request came from."""
        return msgspec.structs.replace(actor, address=self.addresses.of(scope))

    async def _actor(self, scope: dict[str, Any]) -> Actor:
        value: bytes | None = None
        for name, given in scope["headers"]:
            if name == b"authorization":
                value = given
                break
        if value is None:
            signed = dict(scope["headers"])
            if b"signature-input" in signed and self._signatures is not None:
                found = await self._signatures.check(scope, signed[b"signature-input"], signed.get(b"signature", b""))
                self._used[found.token_id] = self._db.clock.now()
                return found.actor
            raise Unauthenticated(
                "this request carries no token; send the header Authorization: Bearer TOKEN", code="token-missing"
            )
        if value[:7].lower() != b"bearer ":
            raise Unauthenticated("the Authorization header must be: Bearer TOKEN", code="token-missing")
        return await self.actor_of(value[7:].strip())

    async def actor_of(self, secret: bytes) -> Actor:
        """The actor of a token. Raises Unauthenticated."""
        key = hashlib.sha256(secret).digest()
        now = self._db.clock.now()
        generation = self._generation
        known = self._known.get(key)
        # An entry of an older generation was read before something changed: another thread may have put it here since.
        if known is None or known.generation != generation or known.found.expired(now):
            found: Authenticated = await self._db.glance(authenticate, secret.decode("latin-1"))
            if self._remembers:
                if len(self._known) >= CACHE_SIZE:
                    self._known.clear()
                self._known[key] = _Known(found, generation)
        else:
            found = known.found
        self._used[found.token_id] = now
        return found.actor

    async def refuse_in_address(self, query: bytes, path: bytes) -> None:
        """Revoke every token that is found in the address. Raises HttpProblem 401 when there was any.

        Addresses end up in logs, histories and referrers: a token that was in one is no secret any more.
        """
        secrets = tokens_in_address(query, path)
        if not secrets:
            return
        for secret in secrets:
            await self._db.write(revoke_secret, secret, "in-address")
        raise refusal_of_address()

    async def flush(self) -> None:
        """Write down when tokens were used; called once a minute and at the end."""
        used, self._used = self._used, {}
        if used:
            await self._db.write(touch_tokens, used)

    def _forget(self) -> None:
        self._generation += 1
        self._known.clear()
