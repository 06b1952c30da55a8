"""What jobs have reported."""

from __future__ import annotations

from dais.sdk.flow import Flow, Request, Resource, operation, quoted
from dais.wire.reports import DEFAULT_POINTS, JobReport


class JobReportsApi(Resource):
    """Metrics, progress and messages of jobs."""

    @operation
    def metrics(
        self, ref: str, *, run: int | None = None, name: str | None = None, points: int = DEFAULT_POINTS
    ) -> Flow[JobReport]:
        """What a run (by default the latest) has reported: of each metric, or of `name` alone, at most so many values.

        They are picked evenly, the first and the last among them. Raises NotFound.
        """
        query = {"run": run, "name": name, "points": points, "account": self._client.account}
        return (yield from self.call(Request("GET", f"/v1/jobs/{quoted(ref)}/metrics", query), JobReport))
