"""`eai data new`, `push` and `pull`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected
from dais.cli.folder import COLUMNS, PATIENCE, split_local, tell
from dais.cli.output import Output, with_output, with_output_of
from dais.cli.progress import transfer_bar
from dais.eai.data.references import living, place, split_name
from dais.eai.data.versions import pull_version
from dais.wire.answers import Folder

if TYPE_CHECKING:
    from dais.sdk.client import Client

_verbose = click.option("--verbose", is_flag=True, expose_value=False, help="Progress is shown anyway.")


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("directory", metavar="[DIRECTORY]", required=False, type=click.Path(exists=True, file_okay=False))
@_verbose
@with_output_of(Folder)
@connected
def new(client: Client, output: Output, name: str, directory: str | None) -> None:
    """Make data: empty, or with the content of a directory, which appears all at once.

    A name that ends with a dot is an account; the data is given a name there.

    \b
    Examples:
      eai data new acme.joe.home
      eai data new digits ./digits
      DATA=$(eai data new acme.joe. --field id)
    """
    client.patience = PATIENCE
    account, short = split_name(name)
    with transfer_bar(f"new {name}", directory is not None) as progress:
        made = client.folders.create(short, directory, account=account, progress=progress)
    output.one(made, COLUMNS)


@click.command()
@click.argument("name", metavar="NAME[@BRANCH]")
@click.argument("local", metavar="LOCAL[:REMOTE]")
@_verbose
@with_output
@connected
def push(client: Client, output: Output, name: str, local: str) -> None:
    """Send a directory's content, or a file, into data. What is there already is skipped; nothing is removed.

    It makes no version, which takes room of its own; `eai data commit` does.

    \b
    Examples:
      eai data push acme.joe.home ./home
      eai data push acme.joe.home ./weights.pt:models/weights.pt
      eai data push acme.joe.code@next ./code:/
    """
    client.patience = PATIENCE
    source, remote = split_local(local)
    with transfer_bar(f"push {name}") as progress:
        done = client.folders.push(living(name).folder, source, remote, progress=progress)
    tell(output, "sent", done)


@click.command()
@click.argument("name", metavar="NAME[@BRANCH|@VERSION][/REMOTE]")
@click.argument("places", metavar="[REMOTE[:NAME]] [LOCAL]", nargs=-1)
@_verbose
@with_output
@connected
def pull(client: Client, output: Output, name: str, places: tuple[str, ...]) -> None:
    """Fetch data, or what is at REMOTE in it, into LOCAL (default: the current directory).

    \b
    Examples:
      eai data pull acme.account.data ./data               all of it
      eai data pull acme.account.data ./remote .           its file or directory remote
      eai data pull acme.account.data a/b.zip:c.zip out    its file a/b.zip as out/c.zip
    """
    if len(places) > 2:
        raise click.UsageError("give at most REMOTE and LOCAL after the name")
    client.patience = PATIENCE
    found = place(name)
    remote, local = found.below, places[-1] if places else "."
    renamed = ""
    if len(places) == 2:
        below, colon, renamed = places[0].rpartition(":")
        remote = f"{remote}/{below if colon else renamed}"
        renamed = renamed if colon else ""
    with transfer_bar(f"pull {name}") as progress:
        if found.version is not None:
            if renamed:
                raise click.UsageError(f"{places[0]!r}: what a version holds keeps its name; leave :{renamed} out")
            done = pull_version(client, found, remote, local, progress)
        else:
            local = f"{local}/{renamed}" if renamed else local
            done = client.folders.pull(found.folder, local, remote, progress=progress)
    tell(output, "fetched", done)
