"""`dais job cp`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from dais.cli.base import connected, note
from dais.cli.problems import harmless

if TYPE_CHECKING:
    from dais.sdk.client import Client

_in_job = re.compile(r"(?P<ref>[A-Za-z0-9._-]+):(?P<path>/.*)", re.DOTALL)


@click.command()
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="TARGET")
@connected
def cp(client: Client, source: str, target: str) -> None:
    """Copy files into or out of a running job.

    One of the two is JOB:/path. A target that is a directory is copied into. The job's image needs sh and tar.

    \b
    Examples:
      dais job cp last:/home/work/model.pt .
      dais job cp ./config train:/tmp/config
    """
    there, here = _in_job.fullmatch(source), _in_job.fullmatch(target)
    if bool(there) == bool(here):
        raise click.UsageError("one of SOURCE and TARGET must be JOB:/path, the other a path here")
    tell = lambda message: note(harmless(message))  # noqa: E731
    if there:
        client.jobs.fetch(there["ref"], there["path"], target, note=tell)
    elif here:
        client.jobs.put(here["ref"], source, here["path"], note=tell)
