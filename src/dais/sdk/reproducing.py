"""Running jobs again as they were."""

from __future__ import annotations

from secrets import token_urlsafe

import msgspec

from dais.sdk.flow import Flow, Pause, Request, Resource, operation, quoted
from dais.wire.answers import JobDetail
from dais.wire.reproduction import Reproduce, Reproduction

TRIES, PAUSE_SECONDS = 20, 0.5
"""How often it is asked again where a job has ended and what it wrote at its very end is still being taken."""


class ReproducingApi(Resource):
    """Reproductions of jobs."""

    @operation
    def reproduce(self, ref: str, *, tolerance: float = 0.0) -> Flow[JobDetail]:
        """Run a job again with its recorded source, code, inputs, image, environment and resources; the new job.

        `tolerance` is how far metrics may be from those of the job, relatively and below 1 absolutely. Raises NotFound,
        Forbidden, Conflict `still-alive`, `never-succeeded`.
        """
        request = Request(
            "POST",
            f"/v1/jobs/{quoted(ref)}/reproduce",
            {"account": self._client.account},
            msgspec.json.encode(Reproduce(tolerance=tolerance)),
            headers={"idempotency-key": token_urlsafe(18)},
            repeatable=True,
        )
        return (yield from self.call(request, JobDetail))

    @operation
    def reproduction(self, ref: str, *, tolerance: float | None = None) -> Flow[Reproduction]:
        """How a job compares with the one that it runs again. Raises Conflict `no-reproduction`, Forbidden."""
        query = {"tolerance": tolerance, "account": self._client.account}
        request = Request("GET", f"/v1/jobs/{quoted(ref)}/reproduction", query)
        for _ in range(TRIES):
            found = yield from self.call(request, Reproduction)
            if found.verdict != "differs" or all(one.after is not None for one in found.metrics):
                break
            yield Pause(PAUSE_SECONDS)
        return found
