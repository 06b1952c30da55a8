"""Where the apps of jobs are reached."""

from __future__ import annotations

import msgspec

from dais.sdk.flow import Flow, Request, operation, quoted
from dais.sdk.job_reports import JobReportsApi
from dais.wire.answers import Exposed, JobAddress


class JobDoorsApi(JobReportsApi):
    """Addresses of jobs' ports and apps, and who may reach them."""

    @operation
    def address(self, ref: str, target: str | int = 8080) -> Flow[JobAddress]:
        """Where a port (or an app, by its name) of a running job is reached: with a session, or a bearer token.

        Raises NotFound, Conflict `not-running`.
        """
        query = {"target": str(target), "account": self._client.account}
        return (yield from self.call(Request("GET", f"/v1/jobs/{quoted(ref)}/address", query), JobAddress))

    @operation
    def expose(self, ref: str, port: int, *, public: bool = True) -> Flow[Exposed]:
        """Open a port of a job to everybody, or close it again; it holds for the job's later runs, too.

        Raises NotFound, Forbidden.
        """
        body = msgspec.json.encode({"port": port, "public": public})
        path, query = f"/v1/jobs/{quoted(ref)}/expose", {"account": self._client.account}
        return (yield from self.call(Request("POST", path, query, body=body, repeatable=True), Exposed))
