"""Lineage: what led to something, and what came of it."""

from __future__ import annotations

from dais.sdk.flow import Asynchronous, Blocking, Flow, Request, Resource, operation, quoted
from dais.wire.lineage import DEFAULT_DEPTH, DEFAULT_NODES, Direction, Trace

JOB = "job:"


class LineageApi(Resource):
    """Traces from a version of a file set `texts:1`, of a file `/a.txt:3`, or a job `job:12` (also by id or name)."""

    @operation
    def forward(
        self, ref: str, *, account: str | None = None, depth: int = DEFAULT_DEPTH, limit: int = DEFAULT_NODES
    ) -> Flow[Trace]:
        """What came of it, at most `depth` steps away and `limit` nodes. Raises NotFound, Forbidden, Invalid."""
        return (yield from self._trace(ref, "forward", account, depth, limit))

    @operation
    def backward(
        self, ref: str, *, account: str | None = None, depth: int = DEFAULT_DEPTH, limit: int = DEFAULT_NODES
    ) -> Flow[Trace]:
        """What led to it; as `forward`."""
        return (yield from self._trace(ref, "backward", account, depth, limit))

    def _trace(self, ref: str, direction: Direction, account: str | None, depth: int, limit: int) -> Flow[Trace]:
        query: dict[str, str | int | None] = {"ref": ref}
        path = "/v1/trace"
        if ref.startswith(JOB):
            path, query = f"/v1/jobs/{quoted(ref.removeprefix(JOB))}/trace", {}
        query |= {
            "direction": direction,
            "account": account or self._client.account,
            "depth": depth,
            "limit": limit,
        }
        return (yield from self.call(Request("GET", path, query), Trace))


class Lineage(LineageApi, Blocking):
    """Lineage, blocking."""


class AsyncLineage(LineageApi, Asynchronous):
    """Lineage, on asyncio."""
