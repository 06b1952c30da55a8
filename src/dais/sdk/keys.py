"""Keys of users and of roles: bearer tokens, and pairs that sign requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, Resource, listing, operation, quoted
from dais.sdk.pages import whole
from dais.wire.answers import Me
from dais.wire.identities import Key, NewKey

Holder = Literal["user", "role"]


class KeysApi(Resource):
    """A user's key may do what the user may, a role's what the role may; without a name the user is yourself."""

    @listing
    def list(self, holder_type: Holder = "user", holder: str | None = None) -> Items[Key]:
        """The keys that have not been revoked, the newest first. Raises NotFound, Forbidden."""
        yield from whole(self, (yield from self._path(holder_type, holder)), Key)

    @operation
    def new(
        self,
        holder_type: Holder = "user",
        holder: str | None = None,
        *,
        label: str | None = None,
        expires_in: int | None = None,
        allow: Sequence[str] | None = None,
        pair: bool = False,
    ) -> Flow[NewKey]:
        """Make a key, whose secret is told this once. It expires after so many seconds (None: never).

        `allow` are statements: it may do what both they and its holder's rules allow. Raises Invalid, Forbidden
        `beyond-own`. `pair`: an access key and a secret that signs requests, instead of a bearer token; as
        `ACCESS:SECRET` it takes a token's place.
        """
        allowed = None if allow is None else list(allow)
        body = msgspec.json.encode({"label": label, "expires_in": expires_in, "allow": allowed, "pair": pair})
        path = yield from self._path(holder_type, holder)
        return (yield from self.call(Request("POST", path, body=body), NewKey))

    @operation
    def rm(self, key_id: str) -> Flow[None]:
        """End a key at once. Raises NotFound."""
        yield from self.send(Request("DELETE", f"/v1/keys/{quoted(key_id)}"))

    def _path(self, holder_type: Holder, holder: str | None) -> Flow[str]:
        if holder is None:
            holder = (yield from self.call(Request("GET", "/v1/me"), Me)).id
        return f"/v1/{holder_type}s/{quoted(holder)}/keys"


class Keys(KeysApi, Blocking):
    """Keys, blocking."""


class AsyncKeys(KeysApi, Asynchronous):
    """Keys, on asyncio."""
