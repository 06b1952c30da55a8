"""`dais reproduce`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected, leave, note
from dais.cli.jobs.references import one_job
from dais.cli.jobs.show import COLUMNS
from dais.cli.output import Output, with_output
from dais.cli.problems import harmless
from dais.wire.reproduction import Reproduction

if TYPE_CHECKING:
    from dais.sdk.client import Client

DIFFERS = 1
"""Exit code when not the same came of it."""
SHOWN = 20
RESULT = ("number", "of_number", "state", "verdict", "same_files", "different_files", "tolerance")
WORDS = {
    "pending": "it has not ended yet",
    "equal": "the same came of it, to the bit",
    "close": "its metrics are within the tolerance",
    "differs": "something else came of it",
    "failed": "it did not succeed",
    "nothing": "the job left neither files nor metrics to compare",
}


@click.command()
@one_job
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    metavar="X",
    help="How far metrics may be from the job's, relatively (0.01 is one percent), and absolutely below 1.",
)
@click.option("--wait", is_flag=True, help="Wait until it has ended, and compare; exit with 1 unless it is the same.")
@click.option("--result", is_flag=True, help="JOB is one that reproduces another: compare again, and run nothing.")
@with_output
@connected
def reproduce(client: Client, output: Output, ref: str, tolerance: float | None, wait: bool, result: bool) -> None:
    """Run a job again exactly as it was, and compare what comes of it.

    Its recorded source, code, versions of inputs, content of the image, environment and resources are taken, whatever
    is newer by now. Files are compared by their contents, metrics within the tolerance.

    \b
    Examples:
      dais reproduce 42 --wait
      dais reproduce train --tolerance 0.01 --wait --json
      dais reproduce 43 --result
    """
    if result:
        if wait:
            raise click.UsageError("--result runs nothing that could be waited for; leave out --wait")
        _tell(output, client.jobs.reproduction(ref, tolerance=tolerance))
        return
    job = client.jobs.reproduce(ref, tolerance=tolerance or 0.0)
    if not wait:
        output.one(job, COLUMNS)
        if output.for_people:
            note(f"when it has ended: dais reproduce {job.number} --result")
        return
    note(f"job {job.number} ({job.id})")
    client.jobs.wait(job.id)
    _tell(output, client.jobs.reproduction(job.id))


def _tell(output: Output, found: Reproduction) -> None:
    output.one(found, RESULT)
    if output.for_people:
        for file in found.files[:SHOWN]:
            how = "differs" if file.before and file.after else "is missing" if file.before else "is new"
            click.echo(harmless(f"  {file.path} {how}"))
        if found.different_files > SHOWN:
            click.echo(f"  and {found.different_files - SHOWN:,} more; --json lists them")
        for metric in found.metrics:
            after = "nothing" if metric.after is None else f"{metric.after:g}"
            click.echo(f"  {'✓' if metric.within else '✕'} {metric.name}: {metric.before:g}, now {after}")
        for line in found.notes:
            note(harmless(line))
        note(WORDS[found.verdict])
    leave(0 if found.holds or found.verdict == "pending" else DIFFERS)
