"""Who is in a team, or can assume a role."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from dais.sdk.flow import Flow, Items, Request, Resource, listing, operation, quoted
from dais.sdk.pages import pages
from dais.wire.identities import Member


class WithMembers(Resource):
    """Operations on members; `place` is where the things are that have them."""

    place: ClassVar[str]

    @listing
    def members(self, ref: str, limit: int | None = None) -> Items[Member]:
        """The direct members, by name. Raises NotFound."""
        yield from pages(self, self._members(ref), {}, Member, limit)

    @operation
    def add_member(self, ref: str, *, user: str | None = None, team: str | None = None) -> Flow[None]:
        """Add a user, or a team with all of its members. Adding twice is the same as once.

        Raises Forbidden `beyond-own` when that would give them more than you have, Conflict `team-cycle`.
        """
        body = msgspec.json.encode({"user": user, "team": team})
        yield from self.send(Request("POST", self._members(ref), body=body, repeatable=True))

    @operation
    def remove_member(self, ref: str, *, user: str | None = None, team: str | None = None) -> Flow[None]:
        """End a membership; one that is not there stays so. Raises Forbidden, Conflict `last-administrator`."""
        yield from self.send(Request("DELETE", self._members(ref), {"user": user, "team": team}))

    def _members(self, ref: str) -> str:
        return f"{self.place}/{quoted(ref)}/members"
