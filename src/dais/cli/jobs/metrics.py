"""`dais job metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected, note
from dais.cli.jobs.references import one_job
from dais.cli.output import Output, with_output_of
from dais.cli.problems import harmless
from dais.wire.reports import DEFAULT_POINTS, MOST_POINTS, JobReport, Series

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("name", "last", "least", "most", "count")


@click.command()
@one_job
@click.option("--name", metavar="METRIC", help="Only this metric, with its values.")
@click.option("--run", type=click.IntRange(min=0), metavar="INDEX", help="Of this run; the latest if not given.")
@click.option(
    "--points",
    type=click.IntRange(0, MOST_POINTS),
    default=DEFAULT_POINTS,
    show_default=True,
    help="At most so many values of each metric, evenly picked.",
)
@with_output_of(JobReport)
@connected
def metrics(client: Client, output: Output, ref: str, name: str | None, run: int | None, points: int) -> None:
    """Print the metrics that a job has reported, while it runs or later.

    A job reports with `dais.report(accuracy=0.9, step=3)`, or without anything installed by a line of JSON in the file
    $DAIS_REPORT, or over the socket $DAIS_SOCKET.

    \b
    Examples:
      dais job metrics --last
      dais job metrics train --name accuracy
      dais job metrics 42 --json
    """
    found = client.jobs.metrics(ref, run=run, name=name, points=points)
    if not output.for_people:
        output.one(found, ("job_id", "run", "progress", "message", "series"))
        return
    output.many(Series, found.series, COLUMNS)
    if name is not None:
        for series in found.series:
            for step, value in zip(series.steps, series.values, strict=True):
                click.echo(f"{step}  {value:g}")
    if not found.series:
        note("it has reported no metrics")
    if found.progress is not None or found.message:
        done = f"{found.progress:.0%}" if found.progress is not None else ""
        note(harmless(" ".join(word for word in (done, found.message) if word)))
    if found.refused:
        note(harmless(f"{found.refused:,} of what it reported was refused, the first: {found.problem}"))
