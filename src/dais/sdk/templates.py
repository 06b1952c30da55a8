"""Templates of jobs: profile them, predict what allocations take, and run them with the best one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from dais.sdk.errors import Conflict
from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Pause, Request, Resource, listing, operation, quoted
from dais.sdk.pages import pages
from dais.wire.spec import JobSpec
from dais.wire.templates import (
    NewTemplate,
    Optimize,
    Prediction,
    Provisioned,
    ProvisionedJob,
    Template,
    TemplateDetail,
    Wish,
)

LOOK_SECONDS = 1.0

Parameters = Mapping[str, str | int | float]
"""A value for each option of a template."""


class TemplatesApi(Resource):
    """Templates by number, id, or their name in the account."""

    @operation
    def new(
        self,
        name: str,
        spec: JobSpec,
        *,
        cpu: Sequence[float] = (),
        mem: Sequence[int] = (),
        max_runs: int = 24,
        parallel: int = 2,
        max_run_time: int = 600,
        budget: float | None = None,
    ) -> Flow[TemplateDetail]:
        """Register a template; its command has hints (`--epoch {1,2,5}`). Cores, bytes, seconds; profiling begins soon.

        Raises Invalid, Conflict (the name is taken), Forbidden.
        """
        if spec.account is None and self._client.account is not None:
            spec = msgspec.structs.replace(spec, account=self._client.account)
        body = NewTemplate(
            name=name,
            spec=spec,
            cpu=tuple(cpu),
            mem=tuple(mem),
            max_runs=max_runs,
            parallel=parallel,
            max_run_time=max_run_time,
            budget=budget,
        )
        return (yield from self.call(Request("POST", "/v1/templates", {}, msgspec.json.encode(body)), TemplateDetail))

    @listing
    def list(self, *, account: str | None = None, limit: int | None = None) -> Items[Template]:
        """Templates, the newest first."""
        yield from pages(self, "/v1/templates", {"account": account or self._client.account}, Template, limit)

    @operation
    def get(self, ref: str | int, *, account: str | None = None) -> Flow[TemplateDetail]:
        """A template with its profiling runs and its model. Raises NotFound, Forbidden."""
        return (yield from self._get(ref, account))

    @operation
    def wait(self, ref: str | int, *, account: str | None = None) -> Flow[TemplateDetail]:
        """Wait until its profiling has ended. Raises NotFound; Conflict when it failed."""
        while True:
            found = yield from self._get(ref, account)
            if found.state == "failed":
                raise Conflict(f"the template {found.name} failed: {found.detail}", code="template-failed")
            if found.state == "ready":
                return found
            yield Pause(LOOK_SECONDS)

    @operation
    def predict(
        self,
        ref: str | int,
        parameters: Parameters,
        *,
        max_time: float | None = None,
        max_cost: float | None = None,
        optimize: Optimize = "cost",
        account: str | None = None,
    ) -> Flow[Prediction]:
        """The best allocation: the cheapest within `max_time` seconds, or the fastest within `max_cost`.

        Raises NotFound, Conflict (not ready), Invalid (parameters; nothing within the caps, with the nearest).
        """
        wish = Wish(parameters=_texts(parameters), max_time=max_time, max_cost=max_cost, optimize=optimize)
        body = msgspec.json.encode(wish)
        request = Request("POST", self._path(ref, "/predict"), self._query(account), body, repeatable=True)
        return (yield from self.call(request, Prediction))

    @operation
    def run(
        self,
        ref: str | int,
        parameters: Parameters,
        *,
        max_time: float | None = None,
        max_cost: float | None = None,
        optimize: Optimize = "cost",
        name: str | None = None,
        account: str | None = None,
    ) -> Flow[Provisioned]:
        """Submit its job with the best allocation. Raises as `predict`, and Forbidden."""
        wish = ProvisionedJob(
            parameters=_texts(parameters), max_time=max_time, max_cost=max_cost, optimize=optimize, name=name
        )
        request = Request("POST", self._path(ref, "/jobs"), self._query(account), msgspec.json.encode(wish))
        return (yield from self.call(request, Provisioned))

    @operation
    def cancel(self, ref: str | int, *, account: str | None = None) -> Flow[TemplateDetail]:
        """End its profiling, and the jobs that run for it. One that is ready stays as it is."""
        request = Request("POST", self._path(ref, "/cancel"), self._query(account), repeatable=True)
        return (yield from self.call(request, TemplateDetail))

    @operation
    def rm(self, ref: str | int, *, account: str | None = None) -> Flow[None]:
        """Forget it; its jobs stay. Raises NotFound, Forbidden."""
        yield from self.send(Request("DELETE", self._path(ref), self._query(account)))

    def _get(self, ref: str | int, account: str | None) -> Flow[TemplateDetail]:
        return (yield from self.call(Request("GET", self._path(ref), self._query(account)), TemplateDetail))

    def _path(self, ref: str | int, below: str = "") -> str:
        return f"/v1/templates/{quoted(str(ref))}{below}"

    def _query(self, account: str | None) -> dict[str, str | None]:
        return {"account": account or self._client.account}


def _texts(parameters: Parameters) -> dict[str, str]:
    return {name: str(value) for name, value in parameters.items()}


class Templates(TemplatesApi, Blocking):
    """Templates, blocking."""


class AsyncTemplates(TemplatesApi, Asynchronous):
    """Templates, on asyncio."""
