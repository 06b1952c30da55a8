"""`eai data ls`, `get`, `size` and `tree`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected
from dais.cli.folder import COLUMNS, DETAILS
from dais.cli.output import Output, with_output_of
from dais.eai.data.content import entries_of
from dais.eai.data.references import living, place
from dais.wire.answers import Folder

if TYPE_CHECKING:
    from dais.sdk.client import Client


@click.command()
@click.option("--limit", "-n", type=click.IntRange(1), metavar="N", help="At most so many.")
@with_output_of(Folder)
@connected
def ls(client: Client, output: Output, limit: int | None) -> None:
    """List the data that you may use, or with --account that of one account. Branches are listed, too.

    \b
    Example:
      eai data ls --account acme.joe --fields fullName,id
    """
    output.many(Folder, client.folders.list(account=client.account, limit=limit), COLUMNS)


@click.command()
@click.argument("name", metavar="NAME")
@with_output_of(Folder)
@connected
def get(client: Client, output: Output, name: str) -> None:
    """Show data.

    \b
    Example:
      eai data get acme.joe.home --field urn
    """
    output.one(client.folders.get(living(name).folder), COLUMNS)


@click.command()
@click.argument("name", metavar="NAME")
@with_output_of(Folder)
@connected
def size(client: Client, output: Output, name: str) -> None:
    """Count the files and bytes of data; `eai data versions` tells those of its versions.

    \b
    Example:
      eai data size acme.joe.home --field size
    """
    output.one(client.folders.get(living(name).folder, measured=True), DETAILS)


@click.command()
@click.argument("name", metavar="NAME[@BRANCH|@VERSION][/PATH]")
@click.argument("path", metavar="[PATH]", default="")
@connected
def tree(client: Client, name: str, path: str) -> None:
    """Print what is in data as a tree.

    \b
    Example:
      eai data tree acme.joe.home
    """
    found = place(name)
    click.echo(found.name)
    for entry in entries_of(client, found, path):
        parts = entry.path.split("/")
        click.echo(f"{'    ' * (len(parts) - 1)}└── {parts[-1]}{'/' if entry.kind == 'directory' else ''}")
