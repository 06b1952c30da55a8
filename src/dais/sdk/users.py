"""Users."""

from __future__ import annotations

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, Resource, listing, operation, quoted
from dais.sdk.pages import pages
from dais.wire.answers import Me
from dais.wire.identities import User


class UsersApi(Resource):
    """Users are named by names, full names as `acme.joe`, e-mail addresses or ids; None is yourself."""

    @listing
    def list(
        self, organization: str | None = None, *, text: str | None = None, limit: int | None = None
    ) -> Items[User]:
        """The users that you may see: of an organization, or with a text in name or address."""
        yield from pages(self, "/v1/users", {"organization": organization, "text": text}, User, limit)

    @operation
    def get(self, ref: str | None = None) -> Flow[User]:
        """A user. Raises NotFound."""
        return (yield from self.call(Request("GET", (yield from self._path(ref))), User))

    @operation
    def new(
        self,
        email: str | None = None,
        *,
        name: str | None = None,
        full_name: str | None = None,
        organization: str | None = None,
        administrator: bool = False,
        password: str | None = None,
    ) -> Flow[User]:
        """Make a user with a personal account. Without a name they are called as the address begins.

        With a password they can sign in to the pages, and then choose another one.

        Raises Invalid `weak-password`, Forbidden, Conflict `user-exists`, `email-taken`.
        """
        body = msgspec.json.encode(
            {
                "email": email,
                "name": name,
                "full_name": full_name,
                "organization": organization,
                "administrator": administrator,
                "password": password,
            }
        )
        return (yield from self.call(Request("POST", "/v1/users", body=body), User))

    @operation
    def set(
        self,
        ref: str | None = None,
        *,
        name: str | None = None,
        full_name: str | None = None,
        email: str | None = None,
        administrator: bool | None = None,
    ) -> Flow[User]:
        """Change what is given; the personal account is called as its user.

        Raises Invalid, Forbidden, Conflict `user-exists`, `email-taken`, `last-administrator`.
        """
        change = {"name": name, "full_name": full_name, "email": email, "administrator": administrator}
        body = msgspec.json.encode({field: value for field, value in change.items() if value is not None})
        request = Request("PATCH", (yield from self._path(ref)), body=body, repeatable=True)
        return (yield from self.call(request, User))

    @operation
    def set_password(self, ref: str, password: str) -> Flow[None]:
        """Set somebody's password, who must choose another one when they sign in; their sessions end.

        Raises Invalid `weak-password`, Forbidden `beyond-own`.
        """
        body = msgspec.json.encode({"password": password})
        yield from self.send(Request("PUT", f"/v1/users/{quoted(ref)}/password", body=body, repeatable=True))

    @operation
    def reset(self, ref: str) -> Flow[User]:
        """Take a user's second factors and lock-out away; their sessions end. Raises Forbidden `beyond-own`."""
        return (yield from self.call(Request("DELETE", f"/v1/users/{quoted(ref)}/second-factors"), User))

    @operation
    def disable(self, ref: str) -> Flow[User]:
        """Let a user in no more; what is theirs stays. Raises Forbidden, Conflict `last-administrator`."""
        path = f"/v1/users/{quoted(ref)}/disable"
        return (yield from self.call(Request("POST", path, repeatable=True), User))

    @operation
    def enable(self, ref: str) -> Flow[User]:
        """Let a disabled user in again. Raises Forbidden."""
        path = f"/v1/users/{quoted(ref)}/enable"
        return (yield from self.call(Request("POST", path, repeatable=True), User))

    def _path(self, ref: str | None) -> Flow[str]:
        if ref is None:
            ref = (yield from self.call(Request("GET", "/v1/me"), Me)).id
        return f"/v1/users/{quoted(ref)}"


class Users(UsersApi, Blocking):
    """Users, blocking."""


class AsyncUsers(UsersApi, Asynchronous):
    """Users, on asyncio."""
