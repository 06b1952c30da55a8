"""`eai data`: folders by that system's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected
from dais.cli.folder import COLUMNS, DETAILS, PATIENCE, folder, split_local, tell
from dais.cli.output import Output, with_output, with_output_of
from dais.cli.progress import transfer_bar
from dais.eai.words import adopted
from dais.wire.answers import Answer, Folder
from dais.wire.names import split_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dais.sdk.client import Client
    from dais.wire.answers import Entry

LATEST = "@latest"


class Content(Answer, frozen=True, kw_only=True):
    """A file or directory in data. Its `status` is `new`: what was put there is there, without a commit."""

    name: str
    status: str = "new"
    kind: str
    size: int
    modified_at: str | None


@click.group()
def data() -> None:
    """Make data, and move files into and out of it.

    Data is a directory tree that jobs mount: `eai job new -d acme.joe.home:/home/joe -- ls /home/joe`. It is named by
    its id, its full name (acme.joe.home), or its name in your account; NAME@latest is what is in it now.

    \b
    Examples:
      eai data new acme.joe.home ./home
      eai data push acme.joe.home ./more:more
      eai data content ls acme.joe.home
    """


@data.command()
@click.argument("name", metavar="NAME")
@click.argument("directory", metavar="[DIRECTORY]", required=False, type=click.Path(exists=True, file_okay=False))
@with_output_of(Folder)
@connected
def new(client: Client, output: Output, name: str, directory: str | None) -> None:
    """Make data: empty, or with the content of a directory, which appears all at once.

    \b
    Examples:
      eai data new acme.joe.home
      eai data new digits ./digits
    """
    client.patience = PATIENCE
    account, short = split_name(name)
    with transfer_bar(f"new {name}", directory is not None) as progress:
        made = client.folders.create(short, directory, account=account, progress=progress)
    output.one(made, COLUMNS)


@data.command()
@click.argument("name", metavar="NAME")
@click.argument("local", metavar="LOCAL[:REMOTE]")
@with_output
@connected
def push(client: Client, output: Output, name: str, local: str) -> None:
    """Send a directory's content, or a file, into data. What is there already is skipped; nothing is removed.

    \b
    Examples:
      eai data push acme.joe.home ./home
      eai data push acme.joe.home ./weights.pt:models/weights.pt
    """
    client.patience = PATIENCE
    place, remote = split_local(local)
    with transfer_bar(f"push {name}") as progress:
        done = client.folders.push(living(name), place, remote, progress=progress)
    tell(output, "sent", done)


@data.command()
@click.argument("name", metavar="NAME[/REMOTE]")
@click.argument("places", metavar="[REMOTE] [LOCAL]", nargs=-1)
@with_output
@connected
def pull(client: Client, output: Output, name: str, places: tuple[str, ...]) -> None:
    """Fetch data, or what is at REMOTE in it, into LOCAL (default: the current directory).

    \b
    Examples:
      eai data pull acme.account.data ./data       all of it
      eai data pull acme.account.data ./remote .   its file or directory remote
    """
    if len(places) > 2:
        raise click.UsageError("give at most REMOTE and LOCAL after the name")
    client.patience = PATIENCE
    name, remote = split_folder(living(name))
    if len(places) == 2:
        remote = f"{remote}/{places[0]}"
    with transfer_bar(f"pull {name}") as progress:
        done = client.folders.pull(name, places[-1] if places else ".", remote, progress=progress)
    tell(output, "fetched", done)


@data.command()
@click.option("--limit", "-n", type=click.IntRange(1), metavar="N", help="At most so many.")
@with_output_of(Folder)
@connected
def ls(client: Client, output: Output, limit: int | None) -> None:
    """List the data that you may use, or with --account that of one account.

    \b
    Example:
      eai data ls --account acme.joe --fields fullName,id
    """
    output.many(Folder, client.folders.list(account=client.account, limit=limit), COLUMNS)


@data.command()
@click.argument("name", metavar="NAME")
@with_output_of(Folder)
@connected
def get(client: Client, output: Output, name: str) -> None:
    """Show data.

    \b
    Example:
      eai data get acme.joe.home --field urn
    """
    output.one(client.folders.get(living(name)), COLUMNS)


@data.command()
@click.argument("name", metavar="NAME")
@with_output_of(Folder)
@connected
def size(client: Client, output: Output, name: str) -> None:
    """Count the files and bytes of data.

    \b
    Example:
      eai data size acme.joe.home --field size
    """
    output.one(client.folders.get(living(name), measured=True), DETAILS)


@data.command()
@click.argument("name", metavar="NAME[/PATH]")
@click.argument("path", metavar="[PATH]", default="")
@connected
def tree(client: Client, name: str, path: str) -> None:
    """Print what is in data as a tree.

    \b
    Example:
      eai data tree acme.joe.home
    """
    name, below = split_folder(living(name))
    click.echo(name)
    for entry in _ordered(client.folders.entries(name, f"{below}/{path}", recursive=True)):
        parts = entry.path.split("/")
        click.echo(f"{'    ' * (len(parts) - 1)}└── {parts[-1]}{'/' if entry.kind == 'directory' else ''}")


@data.group()
def content() -> None:
    """List and remove what is in data.

    \b
    Example:
      eai data content ls acme.joe.home
    """


@content.command("ls")
@click.argument("name", metavar="NAME[/PATH]")
@click.argument("path", metavar="[PATH]", default="")
@click.option("--path", "named", metavar="PATH", help="The same as PATH.")
@with_output_of(Content)
@connected
def content_ls(client: Client, output: Output, name: str, path: str, named: str | None) -> None:
    """List the files and directories in data, or below a directory of it.

    \b
    Examples:
      eai data content ls acme.joe.home
      eai data content ls acme.joe.home --path models
    """
    name, below = split_folder(living(name))
    found = _ordered(client.folders.entries(name, f"{below}/{named or path}", recursive=True))
    shown = (Content(name=one.path, kind=one.kind, size=one.size, modified_at=one.modified_at) for one in found)
    output.many(Content, shown, ("name", "status"))


@content.command("rm")
@click.argument("name", metavar="NAME")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@connected
def content_rm(client: Client, name: str, paths: tuple[str, ...]) -> None:
    """Remove files and directories, with all that is in them; `.` empties the data.

    \b
    Examples:
      eai data content rm acme.joe.home models/old
      eai data content rm acme.joe.home .
    """
    for path in paths:
        client.folders.remove_entries(living(name), path, recursive=True)


data.add_command(adopted(folder.commands["rm"]))


def split_name(name: str) -> tuple[str | None, str]:
    """The account and the short name: `acme.joe.home`, `home`, and `acme.joe./.ssh` for one that begins with a dot."""
    if "./." in name:
        account, _, short = name.partition("./")
        return account, short
    account, _, short = name.rpartition(".")
    return account or None, short if account else name


def living(name: str) -> str:
    """A name without `@latest`. Other versions and branches are not built. Raises UsageError."""
    head, at, rest = name.partition("@")
    version, slash, below = rest.partition("/")
    if not at or f"@{version}" == LATEST:
        return f"{head}{slash}{below}"
    raise click.UsageError(
        f"{name!r}: versions and branches of data are not built yet; NAME and NAME@latest are what is in it now, and "
        "versions are kept of file sets (dais fileset)"
    )


def _ordered(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda one: one.path.split("/"))
