"""Who is in a team, or can assume a role."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from dais.sdk.flow import Flow, Items, Query, Request, Resource, listing, operation, quoted
from dais.sdk.pages import whole
from dais.wire.answers import Page
from dais.wire.identities import Member


class WithMembers(Resource):
    """Operations on members; `place` is where the things are that have them."""

    place: ClassVar[str]

    @listing
    def members(self, ref: str) -> Items[Member]:
        """The direct members, by name. Raises NotFound."""
        yield from whole(self, self._members(ref), Member)

    @operation
    def add_member(self, ref: str, *, user: str | None = None, team: str | None = None) -> Flow[list[Member]]:
        """Add a user, or a team with all of its members; the members after it. Adding twice is the same as once.

        Raises Forbidden `beyond-own` when that would give them more than you have, Conflict `team-cycle`.
        """
        body = msgspec.json.encode({"user": user, "team": team})
        request = Request("POST", self._members(ref), body=body, repeatable=True)
        return (yield from self.call(request, Page[Member])).items

    @operation
    def remove_member(self, ref: str, *, user: str | None = None, team: str | None = None) -> Flow[list[Member]]:
        """End a membership; the members after it. Raises Forbidden, Conflict `last-administrator`."""
        given: Query = {"user": user, "team": team}
        return (yield from self.call(Request("DELETE", self._members(ref), given), Page[Member])).items

    def _members(self, ref: str) -> str:
        return f"{self.place}/{quoted(ref)}/members"
