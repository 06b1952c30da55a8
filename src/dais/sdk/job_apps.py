"""The apps of running jobs."""

from __future__ import annotations

from dais.sdk.flow import Flow, Request, operation, quoted
from dais.sdk.job_doors import JobDoorsApi
from dais.wire.app_answers import AppLog, JobApps, OpenedApp


class JobAppsApi(JobDoorsApi):
    """Apps: JupyterLab and others that Dais starts inside a job, and the job's own ports."""

    @operation
    def apps(self, ref: str) -> Flow[JobApps]:
        """The apps of a running job, each as it is now. Raises NotFound, Conflict `not-running`."""
        query = {"account": self._client.account}
        return (yield from self.call(Request("GET", f"/v1/jobs/{quoted(ref)}/apps", query), JobApps))

    @operation
    def open_app(self, ref: str, name: str) -> Flow[OpenedApp]:
        """Start an app unless it runs; returns once it answers.

        Raises NotFound, Forbidden, Conflict `not-running`, Unavailable `app-failed` with what the app said.
        """
        path, query = f"/v1/jobs/{quoted(ref)}/apps/{quoted(name)}", {"account": self._client.account}
        return (yield from self.call(Request("POST", path, query), OpenedApp))

    @operation
    def app_log(self, ref: str, name: str) -> Flow[AppLog]:
        """The last 64 KiB of what an app printed. Raises NotFound, Forbidden, Conflict `not-running`."""
        path, query = f"/v1/jobs/{quoted(ref)}/apps/{quoted(name)}/log", {"account": self._client.account}
        return (yield from self.call(Request("GET", path, query), AppLog))
