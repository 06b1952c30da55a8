"""Resource groups: pools of machines, each with its engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, Resource, listing, operation, quoted
from dais.sdk.pages import whole
from dais.wire.groups import EngineCheck, Group

_LONGEST = 150.0
"""Seconds that the server may look at an engine and open it, in silence: a cluster may have to make room first."""


class GroupsApi(Resource):
    """Everybody sees the groups that they may use; administrators attach, change and detach them."""

    @listing
    def list(self) -> Items[Group]:
        """The resource groups, by name."""
        yield from whole(self, "/v1/groups", Group)

    @operation
    def get(self, name: str) -> Flow[Group]:
        """One group. Raises NotFound."""
        return (yield from self.call(Request("GET", f"/v1/groups/{quoted(name)}"), Group))

    @operation
    def check(
        self,
        engine: str,
        *,
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
        default_image: str | None = None,
    ) -> Flow[EngineCheck]:
        """Whether an engine could be attached; nothing is changed. Raises Forbidden, Invalid, Conflict, Unavailable."""
        body = _body(engine, name, options, default_image)
        return (yield from self.call(Request("POST", "/v1/groups/check", body=body, timeout=_LONGEST), EngineCheck))

    @operation
    def attach(
        self,
        engine: str,
        *,
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
        default_image: str | None = None,
    ) -> Flow[Group]:
        """Attach an engine (docker, podman, slurm) as a group, by default of the engine's name.

        Raises Forbidden, Conflict, Invalid: with code `engine-not-usable` its `fields["findings"]` say what is missing.
        """
        body = _body(engine, name, options, default_image)
        return (yield from self.call(Request("POST", "/v1/groups", body=body, timeout=_LONGEST), Group))

    @operation
    def set(
        self, name: str, *, default_image: str | None = None, options: Mapping[str, Any] | None = None
    ) -> Flow[Group]:
        """Change a group; an option that is None is as by default again. Raises NotFound, Forbidden, Invalid."""
        body = msgspec.json.encode({"default_image": default_image, "options": options})
        return (
            yield from self.call(Request("PATCH", f"/v1/groups/{quoted(name)}", body=body, timeout=_LONGEST), Group)
        )

    @operation
    def rm(self, name: str, *, lost: bool = False) -> Flow[None]:
        """Detach a group. Raises NotFound, Forbidden, or Conflict while a job of it has not ended.

        `lost`: its engine does not come back; what it runs counts as lost. Raises Conflict where it answers.
        """
        yield from self.send(Request("DELETE", f"/v1/groups/{quoted(name)}", query={"lost": True} if lost else {}))


def _body(engine: str, name: str | None, options: Mapping[str, Any] | None, default_image: str | None) -> bytes:
    fields = {"engine": engine, "name": name, "options": dict(options or {}), "default_image": default_image}
    return msgspec.json.encode(fields)


class Groups(GroupsApi, Blocking):
    """Resource groups, blocking."""


class AsyncGroups(GroupsApi, Asynchronous):
    """Resource groups, on asyncio."""
