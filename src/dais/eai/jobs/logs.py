"""`eai job logs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected, note
from dais.cli.jobs.follow import write_frame

if TYPE_CHECKING:
    from dais.sdk.client import Client


@click.command("logs")
@click.argument("ref", metavar="[JOB]", required=False)
@click.option("--last", is_flag=True, help="Of your newest job, as without a name.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("--tail", type=click.IntRange(min=0, max=100_000), metavar="N", help="Only the last N lines.")
@click.option("--run", type=click.IntRange(min=0), metavar="INDEX", help="Of this run; the latest if not given.")
@connected
def logs(client: Client, ref: str | None, last: bool, follow: bool, tail: int | None, run: int | None) -> None:
    """Print what a job printed; without a name your newest one.

    \b
    Examples:
      eai job logs -f
      eai job log --tail 100 0193a1b2-77c1-7d1e-9f00-3f1f2a5c8d10
    """
    if last and ref:
        raise click.UsageError(f"{ref!r} and --last are two jobs; name one")
    try:
        for frame in client.jobs.logs(ref or "last", follow=follow, tail=tail, run=run):
            write_frame(frame, split=False)
    except KeyboardInterrupt:
        if not follow:
            raise
        click.echo(err=True)
        note("the job goes on")
