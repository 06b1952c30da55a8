"""Invitations."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Emit, Flow, Items, Request, Resource, listing, operation, quoted
from dais.wire.answers import Page
from dais.wire.identities import Invitation


class InvitationsApi(Resource):
    """Asking people in by e-mail."""

    @listing
    def list(self, organization: str | None = None) -> Items[Invitation]:
        """The invitations of an organization, by default yours, the newest first."""
        page = yield from self.call(
            Request("GET", "/v1/invitations", query={"organization": organization}), Page[Invitation]
        )
        for one in page.items:
            yield Emit(one)

    @operation
    def new(self, email: str, *, accounts: Sequence[str] = (), organization: str | None = None) -> Flow[Invitation]:
        """Invite somebody; `link` is there where the invitation could not be mailed: hand it over yourself.

        `accounts` are `acme.lab` for the role `user`, `acme.lab:admin` for another. Raises Forbidden, NotFound,
        Conflict `email-taken`.
        """
        body = msgspec.json.encode({"email": email, "accounts": list(accounts), "organization": organization})
        return (yield from self.call(Request("POST", "/v1/invitations", body=body), Invitation))

    @operation
    def rm(self, invitation_id: str) -> Flow[None]:
        """Take an invitation back. Raises NotFound, Forbidden."""
        yield from self.send(Request("DELETE", f"/v1/invitations/{quoted(invitation_id)}"))


class Invitations(InvitationsApi, Blocking):
    """Invitations, blocking."""


class AsyncInvitations(InvitationsApi, Asynchronous):
    """Invitations, on asyncio."""
