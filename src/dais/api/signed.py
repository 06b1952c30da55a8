"""Requests signed with a pair: who signed, whether just now and only once, and whether the body is the signed one."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from dais.identity import Authenticated, KnownPair, find_keypair, secret_of
from dais.kit.clock import SECOND, to_rfc3339
from dais.kit.database import Database
from dais.kit.errors import Unauthenticated
from dais.kit.vault import Vault
from dais.wire.signatures import DIGEST, SKEW, Signed, matches, read, read_digest

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]

BODY = "dais.body"
"""Where a signed request's scope holds the SHA-256 that its body must have; None: the body is not covered."""
MOST_NONCES = 200_000
"""Signatures that are remembered; the oldest are forgotten first, though they may still be good."""


class Signatures:
    """Checks signatures. A nonce is good once in this process: with several servers, once in each."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault
        self._used: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def check(self, scope: Scope, signature_input: bytes, signature: bytes) -> Authenticated:
        """Who signed the request. Raises Unauthenticated."""
        try:
            signed = read(signature_input.decode("latin-1"), signature.decode("latin-1"))
            values = _values(scope, signed)
            digest = read_digest(values[DIGEST]) if DIGEST in values else None
        except ValueError as error:
            raise Unauthenticated(f"the request's signature cannot be read: {error}", code="bad-signature") from error
        now = self._db.clock.now()
        if abs(now - signed.created * SECOND) > SKEW * SECOND:
            raise Unauthenticated(
                f"the request was signed at {to_rfc3339(signed.created * SECOND)}, and here it is {to_rfc3339(now)}: "
                f"more than {SKEW} s apart; set the clock of the machine that signs",
                code="signature-expired",
            )
        pair: KnownPair = await self._db.glance(find_keypair, signed.key)
        secret = secret_of(self._vault, signed.key, pair.sealed)
        if not matches(signed, secret, values):
            raise Unauthenticated(
                f"the signature was not made by the secret of {signed.key} for this method, path, query and body",
                code="bad-signature",
            )
        if scope.get("method") not in ("GET", "HEAD"):
            self._once(signed, now)
        scope[BODY] = digest
        return pair.found

    def _once(self, signed: Signed, now: int) -> None:
        used = self._used
        while used and (next(iter(used.values())) <= now or len(used) >= MOST_NONCES):
            used.popitem(last=False)
        key = (signed.key, signed.nonce)
        if key in used:
            raise Unauthenticated(
                "this signature has been used already; sign each request anew", code="signature-replayed"
            )
        used[key] = now + 2 * SKEW * SECOND


def checked_body(scope: Scope, receive: Receive, *, whole: bool) -> Receive:
    """`receive` that raises Unauthenticated `bad-body` at the end of a body that is not the signed one.

    `whole`: the route takes JSON, whose body must be covered. What is told piece by piece is checked with the last
    piece, before anything is kept of it for good.
    """
    wanted: bytes | None = scope[BODY]
    if wanted is None and not whole:
        return receive
    digest = hashlib.sha256()

    async def checked() -> dict[str, Any]:
        message = await receive()
        if message["type"] == "http.request":
            body = message.get("body", b"")
            if body and wanted is None:
                raise Unauthenticated(
                    "the signature must cover content-digest, for the request has a body", code="bad-body"
                )
            digest.update(body)
            if wanted is not None and not message.get("more_body") and not _same(digest.digest(), wanted):
                raise Unauthenticated("the body is not the one that was signed", code="bad-body")
        return message

    return checked


def _same(one: bytes, other: bytes) -> bool:
    return hmac.compare_digest(one, other)


def _values(scope: Scope, signed: Signed) -> dict[str, str]:
    """The components of this request. Raises ValueError when one that is covered is not there."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    values = {
        "@method": scope.get("method", "GET"),
        "@path": raw.partition(b"?")[0].decode("latin-1"),
        "@query": f"?{scope['query_string'].decode('latin-1')}",
    }
    if DIGEST in signed.components:
        found = [value for name, value in scope["headers"] if name == DIGEST.encode()]
        if len(found) != 1:
            raise ValueError("it covers content-digest, and there is not one such header")
        values[DIGEST] = found[0].decode("latin-1").strip()
    return values
