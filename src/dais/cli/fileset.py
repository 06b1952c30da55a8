"""`dais fileset`: named, versioned lists of file versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected, note
from dais.cli.output import Output, with_output, with_output_of
from dais.cli.progress import transfer_bar
from dais.wire.lake import FileChange, FileSetVersion, FileVersion

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("name", "version", "files", "size", "created_by", "created_at")
DETAILS = ("name", "version", "account", "files", "size", "made_by", "parents", "created_by", "created_at")
FILES = ("path", "version", "size")
CHANGES = ("change", "path", "before", "after", "size_before", "size_after")

PATIENCE = 60.0


@click.group(cls=LazyGroup)
def fileset() -> None:
    """Make, list, compare and download file sets.

    A file set is a named list of file versions. A version of it never changes: texts:1 holds tomorrow what it holds
    today. Without a number the latest version is meant.

    \b
    Examples:
      dais fileset create texts /corpus/            all files below a directory
      dais fileset show texts
      dais fileset download texts:1 ./data
    """


@fileset.command()
@click.argument("name", metavar="NAME")
@click.argument("entities", metavar="ENTITY...", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Of two versions of one file take the one named last.")
@click.option("--always", is_flag=True, help="Make a new version also where nothing changed.")
@with_output_of(FileSetVersion)
@connected
def create(client: Client, output: Output, name: str, entities: tuple[str, ...], force: bool, always: bool) -> None:
    """Make the next version of a file set of files, directories (they end with /) and other sets (they begin with @).

    \b
    Examples:
      dais fileset create texts /corpus/ /data/a/b.txt:3
      dais fileset create more @texts:1 @other /data/new.txt
    """
    client.patience = PATIENCE
    made = client.filesets.create(name, entities, force=force, always=always)
    output.one(made, COLUMNS)
    if output.for_people and made.state == "same":
        note(f"nothing has changed since {made.name}:{made.version}; --always makes a new version")


@fileset.command()
@click.option("--limit", "-n", type=click.IntRange(1), help="At most so many.")
@with_output_of(FileSetVersion)
@connected
def ls(client: Client, output: Output, limit: int | None) -> None:
    """List file sets, each with its latest version.

    \b
    Example:
      dais fileset ls --account local.lab
    """
    output.many(FileSetVersion, client.filesets.ls(limit=limit), COLUMNS)


@fileset.command()
@click.argument("name", metavar="NAME[:VERSION]")
@click.option("--files", "-f", "list_files", is_flag=True, help="List its files instead.")
@click.option("--limit", "-n", type=click.IntRange(1), help="At most so many files.")
@with_output
@connected
def show(client: Client, output: Output, name: str, list_files: bool, limit: int | None) -> None:
    """Show a version of a file set, or the files that it holds.

    \b
    Examples:
      dais fileset show texts --json
      dais fileset show texts:1 --files
    """
    if list_files:
        output.many(FileVersion, client.filesets.files(name, limit=limit), FILES)
    else:
        output.one(client.filesets.get(name), DETAILS)


@fileset.command()
@click.argument("name", metavar="NAME")
@click.option("--limit", "-n", type=click.IntRange(1), help="At most so many.")
@with_output_of(FileSetVersion)
@connected
def versions(client: Client, output: Output, name: str, limit: int | None) -> None:
    """List the versions of a file set, the newest first.

    \b
    Example:
      dais fileset versions texts
    """
    output.many(FileSetVersion, client.filesets.versions(name, limit=limit), COLUMNS)


@fileset.command()
@click.argument("name", metavar="NAME[:VERSION]")
@click.argument("mount_point", metavar="[DIRECTORY]", default=".", type=click.Path(file_okay=False))
@click.option("--force", is_flag=True, help="Replace what is there and is not the same.")
@with_output
@connected
def download(client: Client, output: Output, name: str, mount_point: str, force: bool) -> None:
    """Download a file set below a directory: /allen/d/2.txt becomes DIRECTORY/allen/d/2.txt.

    The directory is made where there is none; what is there already and is the same is not fetched again.

    \b
    Examples:
      dais fileset download texts
      dais fileset download texts:1 ./data --force
    """
    from dais.cli.folder import tell

    client.patience = PATIENCE
    found = client.filesets.get(name)  # before a directory is made for it
    Path(mount_point).mkdir(parents=True, exist_ok=True)
    with transfer_bar(f"download {name}") as progress:
        done = client.filesets.download(f"{found.name}:{found.version}", mount_point, force=force, progress=progress)
    tell(output, "fetched", done)


@fileset.command()
@click.argument("before", metavar="NAME:VERSION")
@click.argument("after", metavar="[NAME:]VERSION")
@with_output_of(FileChange)
@connected
def diff(client: Client, output: Output, before: str, after: str) -> None:
    """Tell what is added, removed and changed from one version to another, of the same set or not.

    \b
    Examples:
      dais fileset diff texts:1 2
      dais fileset diff texts:1 other:4
    """
    other = f"{before.partition(':')[0]}:{after}" if after.isdigit() else after
    output.many(FileChange, client.filesets.diff(before, other), CHANGES)


@fileset.command()
@click.argument("names", metavar="NAME[:VERSION]...", nargs=-1, required=True)
@connected
def rm(client: Client, names: tuple[str, ...]) -> None:
    """Remove versions, or file sets with all their versions; the files stay.

    \b
    Examples:
      dais fileset rm texts:1
      dais fileset rm texts
    """
    for name in names:
        removed = client.filesets.rm(name)
        note(f"removed {removed.versions:,} {'version' if removed.versions == 1 else 'versions'} of {name}")
