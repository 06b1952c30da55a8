"""`dais job partial`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dais.cli.base import connected, leave, note
from dais.cli.jobs.references import one_job

if TYPE_CHECKING:
    from dais.sdk.client import Client


@click.command()
@one_job
@click.option("--run", type=click.IntRange(min=0), metavar="INDEX", help="Of this run; the latest if not given.")
@click.option("--to", "target", metavar="FILE", help="Store the archive here. [default: job_<number>_partial.zip]")
@connected
def partial(client: Client, ref: str, run: int | None, target: str | None) -> None:
    """Download what a job that did not succeed had written below its output, as a zip archive.

    It is kept with the job, and is no file set. Prints the archive's path; exits with 1 where nothing was kept.

    \b
    Examples:
      dais job partial --last
      dais job partial 42 --run 0 --to half-done.zip
    """
    job = client.jobs.get(ref)
    if run is None and not job.has_partial:
        note(f"nothing is kept aside of job {job.number}: it {job.state.lower()}, or had written nothing")
        leave(1)
    file = Path(target or f"job_{job.number}_partial.zip")
    client.jobs.partial(job.id, file, run=run)
    click.echo(str(file))
