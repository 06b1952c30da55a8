"""`dais job logs`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from dais.cli.base import connected, note
from dais.cli.jobs.follow import told_why_it_waits, write_frame
from dais.cli.jobs.references import one_job
from dais.cli.jobs.show import instant

if TYPE_CHECKING:
    from dais.sdk.client import Client


@click.command()
@one_job
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("--tail", type=click.IntRange(min=0, max=100_000), metavar="N", help="Only the last N lines.")
@click.option("--since", metavar="TIME", help="Only since then: 10m, 2h, or 2026-11-22T09:30:00Z.")
@click.option("--stderr", is_flag=True, help="Only what went to stderr.")
@click.option("--stdout", is_flag=True, help="Only what went to stdout.")
@click.option("--run", type=click.IntRange(min=0), metavar="INDEX", help="Of this run; the latest if not given.")
@connected
def logs(
    client: Client,
    ref: str,
    follow: bool,
    tail: int | None,
    since: str | None,
    stderr: bool,
    stdout: bool,
    run: int | None,
) -> None:
    """Print what a job printed.

    Bytes come out as the job wrote them, stdout and stderr together. Following goes on by itself when the server
    was away; Ctrl-C stops it, never the job.

    \b
    Examples:
      dais job logs -f --last
      dais job logs train --tail 100 --stderr
      dais job logs 42 --since 10m
    """
    if stderr and stdout:
        raise click.UsageError("--stderr and --stdout together are what is printed anyway; leave both out")
    stream = "stderr" if stderr else "stdout" if stdout else None
    frames = client.jobs.logs(
        ref, follow=follow, tail=tail, since=instant(since) if since else None, stream=stream, run=run
    )
    try:
        with told_why_it_waits(client, ref) if follow else nullcontext() as started:
            for frame in frames:
                if started is not None:
                    started.set()
                write_frame(frame, split=False)
    except KeyboardInterrupt:
        if not follow:
            raise
        click.echo(err=True)
        note("the job goes on")
