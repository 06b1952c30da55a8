"""Secrets: values that jobs are given by name, and that nobody can read back."""

from __future__ import annotations

import base64

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, Resource, listing, operation, quoted
from dais.sdk.pages import pages
from dais.wire.answers import Answer, Secret


class Resealed(Answer, frozen=True, kw_only=True):
    """What a rotation did: how many secrets are encrypted with the new key."""

    secrets: int


class SecretsApi(Resource):
    """Secrets of an account: the one given, else the client's."""

    @listing
    def list(self, account: str | None = None, limit: int | None = None) -> Items[Secret]:
        """Secrets without their values: of the account, or of all that you may see when none is chosen."""
        yield from pages(self, "/v1/secrets", {"account": account or self._client.account}, Secret, limit)

    @operation
    def get(self, name: str, account: str | None = None) -> Flow[Secret]:
        """A secret without its value. Raises NotFound."""
        return (yield from self.call(self._request("GET", name, account), Secret))

    @operation
    def set(self, name: str, value: str | bytes, account: str | None = None) -> Flow[Secret]:
        """Set a secret of 1 byte to 64 KiB; what is there is replaced. Raises Invalid, TooMany, Forbidden."""
        if isinstance(value, bytes):
            body = {"value": base64.b64encode(value).decode(), "encoding": "base64"}
        else:
            body = {"value": value}
        return (yield from self.call(self._request("PUT", name, account, msgspec.json.encode(body)), Secret))

    @operation
    def rm(self, name: str, account: str | None = None) -> Flow[None]:
        """Forget a secret; jobs that wait and name it will fail. Raises NotFound."""
        yield from self.send(self._request("DELETE", name, account))

    @operation
    def rotate_key(self) -> Flow[Resealed]:
        """Encrypt all secrets of the installation with a new key; for administrators."""
        return (yield from self.call(Request("POST", "/v1/secrets/rotate-key"), Resealed))

    def _request(self, method: str, name: str, account: str | None, body: bytes | None = None) -> Request:
        query = {"account": account or self._client.account}
        return Request(method, f"/v1/secrets/{quoted(name)}", query, body=body)


class Secrets(SecretsApi, Blocking):
    """Secrets, blocking."""


class AsyncSecrets(SecretsApi, Asynchronous):
    """Secrets, on asyncio."""
