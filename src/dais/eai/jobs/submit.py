"""`eai job new`, and `eai job submit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from dais.cli.base import CommandAfterDashes, connected
from dais.cli.jobs.options import job_options, read_given
from dais.cli.jobs.submit import send, warn
from dais.cli.output import Output, with_output_of
from dais.wire.eai import Job, job_document, shown_job

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("id", "state", "name", "created", "command", "runs.exitCode")


@click.command("new", cls=CommandAfterDashes)
@job_options
@with_output_of(Job)
@connected
def submit(client: Client, output: Output, given: dict[str, Any], words: tuple[str, ...]) -> None:
    """Put a job into the queue, once: what is sent again after a lost answer makes no second job.

    The command is run as it is, without a shell. Options win over the file of -f.

    \b
    Examples:
      eai job new -i python:3.12 -d acme.joe.home:/home/joe -- python /home/joe/train.py
      eai job new -f job.yml -e A=B
      eai job submit --dry-run -- bash -c 'echo $EAI_JOB_ID'
    """
    spec = read_given(given, words)
    if given["dry_run"]:
        from dais.sdk.documents import dump_document

        checked = client.jobs.check(spec)
        resolved = msgspec.structs.replace(checked.spec, account=checked.account)
        click.echo(dump_document(job_document(resolved)), nl=False)
        warn(checked.warnings)
    else:
        output.one(shown_job(send(client, spec, given)), COLUMNS)
