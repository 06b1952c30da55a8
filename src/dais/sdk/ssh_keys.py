"""The way into jobs through SSH: public keys, certificates, and where the gateway is."""

from __future__ import annotations

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, Resource, listing, operation, quoted
from dais.sdk.pages import whole
from dais.wire.answers import Me
from dais.wire.ssh import SshCertificate, SshGateway, SshKey


class SshKeysApi(Resource):
    """A public key lets its user into every job that the user may run commands in."""

    @listing
    def list(self, user: str | None = None) -> Items[SshKey]:
        """The public keys of a user, by default your own, the newest first. Raises NotFound, Forbidden."""
        yield from whole(self, (yield from self._path(user)), SshKey)

    @operation
    def add(self, public: str, *, label: str | None = None, user: str | None = None) -> Flow[SshKey]:
        """Let a user in by the line of a `.pub` file.

        Raises Invalid `bad-ssh-key`, `weak-ssh-key`; Conflict `ssh-key-exists`; Forbidden.
        """
        body = msgspec.json.encode({"public": public, "label": label})
        path = yield from self._path(user)
        return (yield from self.call(Request("POST", path, body=body), SshKey))

    @operation
    def rm(self, ref: str) -> Flow[None]:
        """Let nobody in by a key any more, named by its id or its fingerprint. Raises NotFound."""
        yield from self.send(Request("DELETE", f"/v1/ssh-keys/{quoted(ref)}"))

    @operation
    def gateway(self) -> Flow[SshGateway]:
        """Where the gateway is, and what it shows to be known by. Raises Unavailable `no-ssh`."""
        return (yield from self.call(Request("GET", "/v1/ssh"), SshGateway))

    @operation
    def certificate(self, public: str) -> Flow[SshCertificate]:
        """A short-lived certificate for a public key; it lets do what the token lets do. Raises Invalid."""
        body = msgspec.json.encode({"public": public})
        return (yield from self.call(Request("POST", "/v1/ssh/certificates", body=body), SshCertificate))

    def _path(self, user: str | None) -> Flow[str]:
        if user is None:
            user = (yield from self.call(Request("GET", "/v1/me"), Me)).id
        return f"/v1/users/{quoted(user)}/ssh-keys"


class SshKeys(SshKeysApi, Blocking):
    """Public keys and certificates, blocking."""


class AsyncSshKeys(SshKeysApi, Asynchronous):
    """Public keys and certificates, on asyncio."""
