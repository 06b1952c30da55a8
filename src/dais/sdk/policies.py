"""Policies: statements that are attached to a user, a team or a role."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, Resource, listing, operation, quoted
from dais.sdk.pages import whole
from dais.wire.identities import Policy

Subject = Literal["user", "team", "role"]


class PoliciesApi(Resource):
    """A statement is `<action>[+<action>…]@<urn>[+<urn>…]`; in a URN names may stand for ids."""

    @listing
    def list(self, subject_type: Subject, subject: str) -> Items[Policy]:
        """The policies that are attached to it, the oldest first. Raises NotFound, Forbidden."""
        yield from whole(self, _path(subject_type, subject), Policy)

    @operation
    def get(self, policy_id: str) -> Flow[Policy]:
        """A policy. Raises NotFound, Forbidden."""
        return (yield from self.call(Request("GET", f"/v1/policies/{quoted(policy_id)}"), Policy))

    @operation
    def new(self, subject_type: Subject, subject: str, statements: Sequence[str]) -> Flow[Policy]:
        """Attach statements. Raises Invalid `bad-statement`, `unknown-action`, Forbidden `beyond-own`."""
        body = msgspec.json.encode({"statements": list(statements)})
        return (yield from self.call(Request("POST", _path(subject_type, subject), body=body), Policy))

    @operation
    def rm(self, policy_id: str) -> Flow[None]:
        """Take a policy away. Raises NotFound, Forbidden, Conflict `predefined-role`."""
        yield from self.send(Request("DELETE", f"/v1/policies/{quoted(policy_id)}"))


def _path(subject_type: Subject, subject: str) -> str:
    return f"/v1/{subject_type}s/{quoted(subject)}/policies"


class Policies(PoliciesApi, Blocking):
    """Policies, blocking."""


class AsyncPolicies(PoliciesApi, Asynchronous):
    """Policies, on asyncio."""
