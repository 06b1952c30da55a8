"""Roles: what users and teams assume to inherit its policies."""

from __future__ import annotations

from typing import Literal

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, listing, operation, quoted
from dais.sdk.members import WithMembers
from dais.sdk.pages import pages
from dais.wire.identities import Role

Parent = Literal["organization", "account", "team"]


class RolesApi(WithMembers):
    """Roles are named by full names, as `acme.admin` or `acme.lab.job_access`, or ids."""

    place = "/v1/roles"

    @listing
    def list(
        self, parent_type: Parent | None = None, parent: str | None = None, *, limit: int | None = None
    ) -> Items[Role]:
        """The roles that you may see: all, those of one type of parent, or those of one parent."""
        yield from pages(self, "/v1/roles", {"parent_type": parent_type, "parent": parent}, Role, limit)

    @operation
    def get(self, ref: str, *, parent_type: Parent | None = None) -> Flow[Role]:
        """A role. Raises NotFound; Invalid `ambiguous` where an account and a team have one name, unless told which."""
        request = Request("GET", f"/v1/roles/{quoted(ref)}", {"parent_type": parent_type})
        return (yield from self.call(request, Role))

    @operation
    def new(self, name: str, *, parent_type: Parent | None = None) -> Flow[Role]:
        """Make a role, without policies, of what its full name begins with; a name alone: of your organization.

        `parent_type` tells an account from a team of the same name. Raises Invalid, NotFound, Forbidden, Conflict
        `role-exists`.
        """
        body = msgspec.json.encode({"name": name, "parent_type": parent_type})
        return (yield from self.call(Request("POST", "/v1/roles", body=body), Role))

    @operation
    def set(self, ref: str, *, name: str) -> Flow[Role]:
        """Give a role another name. Raises Conflict `role-exists`, `predefined-role`."""
        body = msgspec.json.encode({"name": name})
        return (yield from self.call(Request("PATCH", f"/v1/roles/{quoted(ref)}", body=body, repeatable=True), Role))

    @operation
    def rm(self, ref: str) -> Flow[None]:
        """Remove a role with its policies, members and keys. Raises Conflict `predefined-role`."""
        yield from self.send(Request("DELETE", f"/v1/roles/{quoted(ref)}"))


class Roles(RolesApi, Blocking):
    """Roles, blocking."""


class AsyncRoles(RolesApi, Asynchronous):
    """Roles, on asyncio."""
