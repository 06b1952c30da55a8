"""What jobs report of themselves."""

from __future__ import annotations

from dais.api.context import Context
from dais.api.routing import Routes
from dais.compute import get_report
from dais.wire.reports import DEFAULT_POINTS, JobReport

routes = Routes()


@routes.get("/v1/jobs/{ref}/metrics", summary="Show the metrics that a job has reported", action="job:get")
async def metrics(
    ctx: Context,
    ref: str,
    account: str | None = None,
    run: int | None = None,
    name: str | None = None,
    points: int = DEFAULT_POINTS,
) -> JobReport:
    """Of a run, by default the latest; of each metric, or of `name` alone, at most so many values, evenly picked."""
    names = () if name is None else (name,)
    found: JobReport = await ctx.db.read(
        get_report, ctx.actor, ref, account=account, run=run, names=names, points=points
    )
    return found
