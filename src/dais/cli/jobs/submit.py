"""`dais job submit`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from dais.cli.base import CommandAfterDashes, connected, note
from dais.cli.jobs.options import job_options, read_given
from dais.cli.jobs.show import COLUMNS
from dais.cli.output import Output, with_output_of
from dais.cli.problems import harmless
from dais.wire.answers import JobDetail

if TYPE_CHECKING:
    from dais.sdk.client import Client
    from dais.wire.spec import JobSpec


@click.command("submit", cls=CommandAfterDashes)
@job_options
@click.option("--source", metavar="DIGEST", help="Give it the files of an earlier job, as `dais job info` names them.")
@with_output_of(JobDetail)
@connected
def submit(client: Client, output: Output, given: dict[str, Any], source: str | None, words: tuple[str, ...]) -> None:
    """Put a job into the queue.

    Prints the job; `--field id` prints its id alone. The command is run as it is, without a shell.

    \b
    Examples:
      dais job submit --cpu 4 --mem 16 -d digits:/data:ro -- python train.py
      dais job submit -f job.yml --name second -e SEED=2
      dais job submit --dry-run -- bash -c 'echo $DAIS_JOB_ID'
    """
    spec = read_given(given, words, source=source)
    if given["dry_run"]:
        print_checked(client, output, spec)
    else:
        output.one(send(client, spec, given), COLUMNS)


def send(client: Client, spec: JobSpec, given: dict[str, Any]) -> JobDetail:
    """Submit; warnings of the server are said."""
    job = client.jobs.submit(spec=spec, idempotency_key=given["idempotency_key"], enforce_name=given["enforce_name"])
    warn(job.warnings)
    return job


def print_checked(client: Client, output: Output, spec: JobSpec) -> None:
    """The spec as YAML (or as asked for), once the server has nothing against it."""
    from dais.sdk.documents import dump

    checked = client.jobs.check(spec)
    if output.document or output.shape == "json":
        replace(output, fields=()).one(checked.spec, ())
    else:
        click.echo(dump(checked.spec), nl=False)
    warn(checked.warnings)


def warn(warnings: Any) -> None:
    """What the server wants to be known, on stderr."""
    for warning in warnings:
        note(f"warning: {harmless(warning)}")
