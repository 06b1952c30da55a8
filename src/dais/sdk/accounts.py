"""Accounts: nodes of an organization's tree."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, Resource, listing, operation, quoted
from dais.sdk.pages import pages
from dais.wire.answers import Account


class AccountsApi(Resource):
    """Accounts are named by their full names, as `acme.lab.production`, or ids."""

    @listing
    def list(self, below: str | None = None, limit: int | None = None) -> Items[Account]:
        """The accounts that you may see; `below` an account, or an organization: those right below it."""
        yield from pages(self, "/v1/accounts", {"below": below}, Account, limit)

    @operation
    def get(self, ref: str) -> Flow[Account]:
        """An account. Raises NotFound."""
        return (yield from self.call(Request("GET", f"/v1/accounts/{quoted(ref)}"), Account))

    @operation
    def new(self, name: str, parent: str | None = None) -> Flow[Account]:
        """Make an account, which you administer. Without a parent `name` is a full name, or one of your organization.

        Raises Invalid, Forbidden, Conflict `account-exists`.
        """
        body = msgspec.json.encode({"name": name, "parent": parent})
        return (yield from self.call(Request("POST", "/v1/accounts", body=body), Account))

    @operation
    def set(self, ref: str, change: Mapping[str, str | int | None]) -> Flow[Account]:
        """Change `name`, `log_days`, `log_bytes` (None: as in the installation, 0: no limit), and `interactive_jobs`.

        Raises Invalid, Forbidden, Conflict `account-exists`, `personal-account`.
        """
        body = msgspec.json.encode(change)
        request = Request("PATCH", f"/v1/accounts/{quoted(ref)}", body=body, repeatable=True)
        return (yield from self.call(request, Account))


class Accounts(AccountsApi, Blocking):
    """Accounts, blocking."""


class AsyncAccounts(AccountsApi, Asynchronous):
    """Accounts, on asyncio."""
