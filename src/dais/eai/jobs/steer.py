"""`eai job kill`, `retry` and `set`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected
from dais.cli.jobs.references import many_jobs, one_job
from dais.cli.output import Output, with_output_of
from dais.eai.jobs.submit import COLUMNS
from dais.wire.eai import Job, shown_job

if TYPE_CHECKING:
    from dais.sdk.client import Client


@click.command()
@many_jobs
@with_output_of(Job)
@connected
def kill(client: Client, output: Output, refs: tuple[str, ...]) -> None:
    """End jobs. One that has ended stays as it is; its name is free then.

    \b
    Example:
      eai job kill --last
    """
    output.many(Job, [shown_job(client.jobs.kill(ref)) for ref in refs], COLUMNS)


@click.command()
@many_jobs
@with_output_of(Job)
@connected
def retry(client: Client, output: Output, refs: tuple[str, ...]) -> None:
    """Run finished jobs again, as their next runs.

    \b
    Example:
      eai job retry --last
    """
    output.many(Job, [shown_job(client.jobs.retry(ref)) for ref in refs], COLUMNS)


@click.command("set")
@one_job
@click.option("--name", metavar="NAME", help="Call it so.")
@click.option("--tag", metavar="KEY[=VALUE]", multiple=True, help="Its tags from now on. Repeatable.")
@click.option("--bid", type=int, metavar="N", help="Its bid, while it waits.")
@with_output_of(Job)
@connected
def set_(client: Client, output: Output, ref: str, name: str | None, tag: tuple[str, ...], bid: int | None) -> None:
    """Change a job's name, tags or bid.

    \b
    Example:
      eai job set --last --name baseline
    """
    if name is None and not tag and bid is None:
        raise click.UsageError("there is nothing to change; give --name, --tag or --bid")
    output.one(shown_job(client.jobs.set(ref, name=name, tags=tag or None, bid=bid)), COLUMNS)
