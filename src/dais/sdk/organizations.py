"""Organizations: the top owners."""

from __future__ import annotations

from typing import Literal

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, Resource, listing, operation, quoted
from dais.sdk.pages import pages
from dais.wire.answers import Me
from dais.wire.identities import Organization


class OrganizationsApi(Resource):
    """Organizations are named by their names or ids; None is your own."""

    @listing
    def list(self, limit: int | None = None) -> Items[Organization]:
        """The organizations that you may see."""
        yield from pages(self, "/v1/organizations", {}, Organization, limit)

    @operation
    def get(self, ref: str | None = None) -> Flow[Organization]:
        """An organization. Raises NotFound."""
        return (yield from self.call(Request("GET", (yield from self._path(ref))), Organization))

    @operation
    def new(self, name: str) -> Flow[Organization]:
        """Make an organization; for administrators of the installation. Raises Conflict `organization-exists`."""
        body = msgspec.json.encode({"name": name})
        return (yield from self.call(Request("POST", "/v1/organizations", body=body), Organization))

    @operation
    def set(
        self,
        ref: str | None = None,
        *,
        name: str | None = None,
        mfa_required: bool | None = None,
        interactive_jobs: int | Literal["default"] | None = None,
    ) -> Flow[Organization]:
        """Change what is given: the name, and with it those of its accounts; whether its users need a second factor;
        how many interactive jobs one of them may have in its accounts (0: no limit; `default`: as here).

        Raises Invalid, Forbidden, Conflict `organization-exists`.
        """
        change: dict[str, str | int | None] = {"name": name, "mfa_required": mfa_required}
        change = {field: value for field, value in change.items() if value is not None}
        if interactive_jobs is not None:
            change["interactive_jobs"] = None if interactive_jobs == "default" else interactive_jobs
        body = msgspec.json.encode(change)
        request = Request("PATCH", (yield from self._path(ref)), body=body, repeatable=True)
        return (yield from self.call(request, Organization))

    def _path(self, ref: str | None) -> Flow[str]:
        if ref is None:
            ref = (yield from self.call(Request("GET", "/v1/me"), Me)).organization
        return f"/v1/organizations/{quoted(ref)}"


class Organizations(OrganizationsApi, Blocking):
    """Organizations, blocking."""


class AsyncOrganizations(OrganizationsApi, Asynchronous):
    """Organizations, on asyncio."""
