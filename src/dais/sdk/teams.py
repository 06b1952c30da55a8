"""Teams: users, and other teams with all of theirs."""

from __future__ import annotations

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, listing, operation, quoted
from dais.sdk.members import WithMembers
from dais.sdk.pages import pages
from dais.wire.identities import Team


class TeamsApi(WithMembers):
    """Teams are named by names, full names as `acme.vision`, or ids."""

    place = "/v1/teams"

    @listing
    def list(self, limit: int | None = None) -> Items[Team]:
        """The teams that you may see."""
        yield from pages(self, "/v1/teams", {}, Team, limit)

    @operation
    def get(self, ref: str) -> Flow[Team]:
        """A team. Raises NotFound."""
        return (yield from self.call(Request("GET", f"/v1/teams/{quoted(ref)}"), Team))

    @operation
    def new(self, name: str) -> Flow[Team]:
        """Make a team, which you administer: of your organization, or of the one in its full name.

        Raises Invalid, Forbidden, Conflict `team-exists`.
        """
        return (yield from self.call(Request("POST", "/v1/teams", body=msgspec.json.encode({"name": name})), Team))

    @operation
    def set(self, ref: str, *, name: str) -> Flow[Team]:
        """Give a team another name. Raises Conflict `team-exists`."""
        body = msgspec.json.encode({"name": name})
        return (yield from self.call(Request("PATCH", f"/v1/teams/{quoted(ref)}", body=body, repeatable=True), Team))

    @operation
    def rm(self, ref: str) -> Flow[None]:
        """Remove a team with its roles and policies. Raises NotFound, Forbidden."""
        yield from self.send(Request("DELETE", f"/v1/teams/{quoted(ref)}"))


class Teams(TeamsApi, Blocking):
    """Teams, blocking."""


class AsyncTeams(TeamsApi, Asynchronous):
    """Teams, on asyncio."""
