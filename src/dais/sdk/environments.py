"""Cached virtual environments."""

from __future__ import annotations

from dais.sdk.flow import (
    Asynchronous,
    Blocking,
    Emit,
    Flow,
    Items,
    Request,
    Resource,
    listing,
    open_stream,
    operation,
    quoted,
    read,
)
from dais.sdk.pages import pages
from dais.wire.answers import Environment


class EnvironmentsApi(Resource):
    """Environments are built once per content of the requirements and shared read-only by jobs."""

    @listing
    def list(self, limit: int | None = None) -> Items[Environment]:
        """The environments of your organization, the newest first."""
        yield from pages(self, "/v1/environments", {}, Environment, limit)

    @operation
    def get(self, environment: str) -> Flow[Environment]:
        """One environment. Raises NotFound."""
        return (yield from self.call(Request("GET", f"/v1/environments/{quoted(environment)}"), Environment))

    @operation
    def remove(self, environment: str) -> Flow[None]:
        """Remove it; the next job that needs it builds it again. Raises NotFound, or Conflict while a job uses it."""
        yield from self.send(Request("DELETE", f"/v1/environments/{quoted(environment)}"))

    @listing
    def log(self, environment: str) -> Items[bytes]:
        """What the builder printed, in pieces."""
        stream = yield from open_stream(Request("GET", f"/v1/environments/{quoted(environment)}/log"))
        while piece := (yield from read(stream)):
            yield Emit(piece)


class Environments(EnvironmentsApi, Blocking):
    """Environments, blocking."""


class AsyncEnvironments(EnvironmentsApi, Asynchronous):
    """Environments, on asyncio."""
