"""Cached virtual environments."""

from __future__ import annotations

from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, Resource, listing, operation, quoted
from dais.sdk.pages import whole
from dais.wire.answers import Answer, Environment


class BuildLog(Answer, frozen=True, kw_only=True):
    """What the builder said so far; `complete` when it has ended."""

    text: str
    complete: bool


class EnvironmentsApi(Resource):
    """Environments are built once per content of the requirements, and shared read-only by jobs."""

    @listing
    def list(self) -> Items[Environment]:
        """The environments of your organization."""
        yield from whole(self, "/v1/environments", Environment)

    @operation
    def get(self, environment: str) -> Flow[Environment]:
        """One environment. Raises NotFound."""
        return (yield from self.call(Request("GET", f"/v1/environments/{quoted(environment)}"), Environment))

    @operation
    def rm(self, environment: str) -> Flow[None]:
        """Remove it; the next job that needs it builds it again. Raises NotFound, or Conflict while a job uses it."""
        yield from self.send(Request("DELETE", f"/v1/environments/{quoted(environment)}"))

    @operation
    def log(self, environment: str) -> Flow[BuildLog]:
        """What the builder printed. Raises NotFound."""
        return (yield from self.call(Request("GET", f"/v1/environments/{quoted(environment)}/log"), BuildLog))


class Environments(EnvironmentsApi, Blocking):
    """Environments, blocking."""


class AsyncEnvironments(EnvironmentsApi, Asynchronous):
    """Environments, on asyncio."""
