"""`eai data branch` and `rm`. A branch is a folder beside the one that it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected
from dais.cli.folder import COLUMNS, PATIENCE, folder
from dais.cli.output import Output, with_output_of
from dais.eai.data.references import EMPTY, living, place
from dais.eai.words import adopted
from dais.wire.answers import Folder
from dais.wire.names import branch_of

if TYPE_CHECKING:
    from dais.sdk.client import Client

rm: click.Command = adopted(folder.commands["rm"])


@click.group()
def branch() -> None:
    """Make, list and remove branches of data.

    A branch is data of its own, NAME@BRANCH: what is pushed into it, or written by jobs that mount it, is there alone.
    It begins with what is in the data at that time, or empty.

    \b
    Examples:
      eai data branch add acme.joe.code@empty next
      eai data branch add acme.joe.code@latest v1
      eai job new -d acme.joe.code@v1:/app:ro -- ls /app
    """


@branch.command()
@click.argument("name", metavar="NAME[@empty|@latest|@BRANCH|@VERSION]")
@click.argument("new", metavar="BRANCH")
@with_output_of(Folder)
@connected
def add(client: Client, output: Output, name: str, new: str) -> None:
    """Make a branch of data: empty, or with what is in the data, a branch or a version of it, now.

    \b
    Examples:
      eai data branch add acme.joe.code@empty next
      eai data branch add acme.joe.code@next v1
    """
    client.patience = PATIENCE
    head, _, version = name.partition("@")
    base = client.folders.get(head)
    called = f"{base.name}@{new}"
    if version == EMPTY:
        made = client.folders.create(called, account=base.account)
    else:
        made = client.folders.copy(place(name).name, called, account=base.account)
    output.one(made, COLUMNS)


@branch.command()
@click.argument("name", metavar="NAME")
@with_output_of(Folder)
@connected
def ls(client: Client, output: Output, name: str) -> None:
    """List the branches of data.

    \b
    Example:
      eai data branch ls acme.joe.code --field name
    """
    base = client.folders.get(living(name).folder)
    found = client.folders.list(account=base.account)
    output.many(Folder, (one for one in found if branch_of(one.name) == base.name), COLUMNS)


branch.add_command(rm)
