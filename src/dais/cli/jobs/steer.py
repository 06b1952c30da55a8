"""`dais job wait`, `kill`, `retry`, `set` and `rm`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected, leave, note
from dais.cli.jobs.follow import exit_code
from dais.cli.jobs.references import many_jobs, one_job
from dais.cli.jobs.show import COLUMNS
from dais.cli.output import Output, with_output_of
from dais.wire.answers import JobDetail

if TYPE_CHECKING:
    from dais.sdk.client import Client

WAITED_TOO_LONG = 124
"""The exit code of `timeout` when time is up."""


@click.command()
@many_jobs
@click.option("--timeout", metavar="TIME", help="Wait at most so long, as 90s or 2h; then exit with 124.")
@with_output_of(JobDetail)
@connected
def wait(client: Client, output: Output, refs: tuple[str, ...], timeout: str | None) -> None:
    """Wait until jobs have ended; exit as the last of them that failed.

    \b
    Examples:
      dais job wait --last
      dais job wait train-1 train-2 --timeout 2h && echo both are done
    """
    from dais.wire.units import parse_duration

    seconds = None if timeout is None else float(parse_duration(timeout, "--timeout"))
    ended = []
    try:
        for ref in refs:
            ended.append(client.jobs.wait(ref, timeout=seconds))
    except TimeoutError as error:
        note(str(error))
        leave(WAITED_TOO_LONG)
    output.many(JobDetail, ended, COLUMNS)
    leave(next((code for job in reversed(ended) if (code := exit_code(job))), 0))


@click.command()
@many_jobs
@with_output_of(JobDetail)
@connected
def kill(client: Client, output: Output, refs: tuple[str, ...]) -> None:
    """End jobs.

    What runs is told to end (TERM), and made to after its grace (KILL); a job that has ended stays as it is.

    \b
    Examples:
      dais job kill --last
      dais job kill train 42
    """
    output.many(JobDetail, [client.jobs.kill(ref) for ref in refs], COLUMNS)


@click.command()
@many_jobs
@with_output_of(JobDetail)
@connected
def retry(client: Client, output: Output, refs: tuple[str, ...]) -> None:
    """Run finished jobs again, as their next runs.

    \b
    Example:
      dais job retry --last
    """
    output.many(JobDetail, [client.jobs.retry(ref) for ref in refs], COLUMNS)


@click.command("set")
@one_job
@click.option("--name", metavar="NAME", help="Call it so.")
@click.option("--tag", metavar="KEY[=VALUE]", multiple=True, help="Its tags from now on. Repeatable.")
@click.option("--bid", type=int, metavar="N", help="Its bid, while it waits.")
@with_output_of(JobDetail)
@connected
def set_(client: Client, output: Output, ref: str, name: str | None, tag: tuple[str, ...], bid: int | None) -> None:
    """Change a job's name, tags or bid.

    \b
    Examples:
      dais job set 42 --name baseline
      dais job set --last --tag paper=acl --tag kept
    """
    if name is None and not tag and bid is None:
        raise click.UsageError("there is nothing to change; give --name, --tag or --bid")
    output.one(client.jobs.set(ref, name=name, tags=tag or None, bid=bid), COLUMNS)


@click.command()
@many_jobs
@connected
def rm(client: Client, refs: tuple[str, ...]) -> None:
    """Forget jobs that have ended, with their logs.

    \b
    Example:
      dais job rm train-1 train-2
    """
    for ref in refs:
        client.jobs.rm(ref)
        note(f"forgot job {ref}, with its log")
