"""`dais folder` (or `dais data`): folders, and files into and out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected, note
from dais.cli.output import Output, with_output, with_output_of
from dais.cli.progress import transfer_bar
from dais.wire.answers import Entry, Folder
from dais.wire.lake import FileSetVersion
from dais.wire.names import split_folder

if TYPE_CHECKING:
    from dais.sdk.client import Client
    from dais.sdk.progress import Transferred

COLUMNS = ("id", "full_name", "owner", "created")
DETAILS = ("id", "full_name", "owner", "created", "files", "size")
VERSION = ("name", "version", "files", "size", "created_at")
ENTRY_COLUMNS = ("kind", "size", "modified_at", "path")

PATIENCE = 60.0
"""Seconds for which a transfer waits for a server that does not answer: it may be starting anew."""

SHOWN = 10
"""Lines about things left out."""


@click.group(cls=LazyGroup)
def folder() -> None:
    """Make folders, and move files into and out of them.

    A folder is a directory that jobs mount: `dais run -d NAME:/data -- ls /data`. It is named by its id, by
    its full name (local.joe.digits), or by its name in your account.

    \b
    Examples:
      dais folder new digits ./digits       make one from a directory
      dais folder push digits ./more        add files, or send what changed
      dais folder pull models ./models      fetch what a job wrote
    """


@folder.command()
@click.argument("name", metavar="NAME")
@click.argument("directory", metavar="[DIRECTORY]", required=False, type=click.Path(exists=True, file_okay=False))
@click.option("--skip-links", is_flag=True, help="Leave out links that lead outside the directory.")
@with_output
@connected
def new(client: Client, output: Output, name: str, directory: str | None, skip_links: bool) -> None:
    """Make a folder: empty, or with the content of a directory, which appears all at once.

    \b
    Examples:
      dais folder new models
      dais folder new digits ./digits
      dais folder new digits ./digits --account local.lab --field id
    """
    client.patience = PATIENCE
    with transfer_bar(f"new {name}", directory is not None) as progress:
        made = client.folders.create(name, directory, skip_links=skip_links, progress=progress)
    output.one(made, COLUMNS)


@folder.command()
@click.argument("source", metavar="FOLDER")
@click.argument("name", metavar="NAME")
@with_output
@connected
def copy(client: Client, output: Output, source: str, name: str) -> None:
    """Make a folder with the content that another one has now.

    A folder NAME@BRANCH is a branch of NAME, which jobs mount and people push into as any other; while there are
    branches, their folder is not removed.

    \b
    Examples:
      dais folder copy digits digits-clean
      dais folder copy code code@experiment
      dais folder copy local.lab.code code --account local.joe
    """
    output.one(client.folders.copy(source, name), COLUMNS)


@folder.command()
@click.argument("name", metavar="NAME")
@with_output_of(FileSetVersion)
@connected
def seal(client: Client, output: Output, name: str) -> None:
    """Make a version of a folder, which never changes: of the files that are in it, or in a branch of it, now.

    The versions are those of the file set that is called as the folder. Jobs mount the third as NAME@3, read-only, and
    `dais folder copy NAME@3 NAME@BRANCH` makes a branch of it. It takes room beside the folder.

    \b
    Examples:
      dais folder seal digits
      dais run -d digits@1:/data -- ls /data
      dais fileset diff digits:1 2
    """
    client.patience = PATIENCE
    made = client.folders.seal(name)
    output.one(made.fileset, VERSION)
    tell_left_out(made.left_out)
    if output.for_people and made.fileset.state == "same":
        note(f"nothing has changed since version {made.fileset.version}")


@folder.command()
@click.option("--limit", "-n", type=click.IntRange(1), help="At most so many.")
@with_output
@connected
def ls(client: Client, output: Output, limit: int | None) -> None:
    """List the folders that you may use, or with --account those of one account.

    \b
    Examples:
      dais folder ls
      dais folder ls --account local.lab --fields full_name,id
    """
    output.many(Folder, client.folders.list(account=client.account, limit=limit), COLUMNS)


@folder.command()
@click.argument("name", metavar="NAME")
@with_output
@connected
def get(client: Client, output: Output, name: str) -> None:
    """Show a folder, and count its files and bytes.

    \b
    Examples:
      dais folder get digits
      dais folder get digits --field size
    """
    output.one(client.folders.get(name, measured=True), DETAILS)


@folder.command()
@click.argument("name", metavar="NAME")
@click.argument("local", metavar="LOCAL[:REMOTE]")
@click.option("--skip-links", is_flag=True, help="Leave out links that lead outside the directory.")
@with_output
@connected
def push(client: Client, output: Output, name: str, local: str, skip_links: bool) -> None:
    """Send a directory's content, or a file, into a folder.

    What is there already is skipped, and nothing is removed; after an interruption, the same command goes on where it
    was. Patterns in .daisignore files, written as for .gitignore, leave things out.

    \b
    Examples:
      dais folder push digits ./digits               into the folder's root
      dais folder push digits ./digits:train         into its directory train
      dais folder push digits ./labels.csv           one file
      dais folder push digits ./labels.csv:v2/l.csv  one file, to this path
    """
    client.patience = PATIENCE
    place, remote = split_local(local)
    with transfer_bar(f"push {name}") as progress:
        done = client.folders.push(name, place, remote, skip_links=skip_links, progress=progress)
    tell(output, "sent", done)


@folder.command()
@click.argument("name", metavar="NAME[/REMOTE]")
@click.argument("places", metavar="[REMOTE] [LOCAL]", nargs=-1)
@with_output
@connected
def pull(client: Client, output: Output, name: str, places: tuple[str, ...]) -> None:
    """Fetch a folder's files, or what is at REMOTE in it, into LOCAL (default: the current directory).

    What is here already is skipped, and nothing is removed; after an interruption, the same command goes on where it
    was.

    \b
    Examples:
      dais folder pull models ./models            all of it, into ./models
      dais folder pull models best ./best         its directory best
      dais folder pull models best/model.pt .     one file
    """
    if len(places) > 2:
        raise click.UsageError("give at most REMOTE and LOCAL after the folder's name")
    client.patience = PATIENCE
    name, remote = split_folder(name)
    if len(places) == 2:
        remote = f"{remote}/{places[0]}"
    with transfer_bar(f"pull {name}") as progress:
        done = client.folders.pull(name, places[-1] if places else ".", remote, progress=progress)
    tell(output, "fetched", done)


@folder.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@connected
def rm(client: Client, names: tuple[str, ...], yes: bool) -> None:
    """Remove folders with all that is in them.

    \b
    Examples:
      dais folder rm digits
      dais folder rm --yes digits models
    """
    for name in names:
        found = client.folders.get(name)
        if not yes:
            _ask(f"Remove {found.full_name} with all that is in it?")
        client.folders.remove(found.id)


def _ask(question: str) -> None:
    import sys

    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)
        raise click.UsageError("it was not confirmed, and nothing was removed; say --yes not to be asked") from None


@folder.group(cls=LazyGroup)
def content() -> None:
    """List, move and remove what is in a folder.

    \b
    Example:
      dais folder content ls digits
    """


@content.command("ls")
@click.argument("name", metavar="NAME[/PATH]")
@click.argument("path", metavar="[PATH]", default="")
@click.option("--path", "named", metavar="PATH", help="The same as PATH.")
@click.option("--recursive", "-r", is_flag=True, help="Also what is in directories.")
@with_output
@connected
def content_ls(client: Client, output: Output, name: str, path: str, named: str | None, recursive: bool) -> None:
    """List what is in a folder, or in a directory of it.

    \b
    Examples:
      dais folder content ls digits
      dais folder content ls digits train --recursive --fields path,size
    """
    name, below = split_folder(name)
    found = client.folders.entries(name, f"{below}/{named or path}", recursive=recursive)
    output.many(Entry, found, ENTRY_COLUMNS)


@content.command("rm")
@click.argument("name", metavar="NAME")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--recursive", "-r", is_flag=True, help="Directories with all that is in them.")
@connected
def content_rm(client: Client, name: str, paths: tuple[str, ...], recursive: bool) -> None:
    """Remove files or directories from a folder; `.` empties it.

    \b
    Examples:
      dais folder content rm digits labels.csv
      dais folder content rm digits train --recursive
      dais folder content rm digits . --recursive
    """
    for path in paths:
        client.folders.remove_entries(name, path, recursive=recursive)


@content.command("mkdir")
@click.argument("name", metavar="NAME[/PATH]")
@click.argument("path", metavar="[PATH]", default="")
@with_output
@connected
def content_mkdir(client: Client, output: Output, name: str, path: str) -> None:
    """Make a directory in a folder, and those above it that are missing.

    \b
    Examples:
      dais folder content mkdir digits train/ones
      dais folder content mkdir digits/train/ones --json
    """
    name, below = split_folder(name)
    output.one(client.folders.make_directory(name, f"{below}/{path}"), ENTRY_COLUMNS)


@content.command("mv")
@click.argument("name", metavar="NAME")
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="TARGET")
@with_output
@connected
def content_mv(client: Client, output: Output, name: str, source: str, target: str) -> None:
    """Give a file or directory another path in its folder. Nothing is replaced.

    \b
    Examples:
      dais folder content mv digits labels.csv old/labels.csv
      dais folder content mv digits train training --json
    """
    output.one(client.folders.move_entry(name, source, target), ENTRY_COLUMNS)


def split_local(text: str) -> tuple[str, str]:
    """`./dir:remote` is the local directory and the place in the folder; a colon in a name that exists is no mark."""
    from pathlib import Path

    if ":" not in text or Path(text).exists():
        return text, ""
    local, _, remote = text.rpartition(":")
    return local, remote


def tell(output: Output, verb: str, done: Transferred) -> None:
    """Say what a transfer did."""
    if not output.for_people:
        output.one(done, ("files", "bytes", "skipped"))
        return
    from dais.wire.units import short_size

    there = f", {done.skipped:,} there already" if done.skipped else ""
    click.echo(f"{verb} {done.files:,} {'file' if done.files == 1 else 'files'} ({short_size(done.bytes)}){there}")
    tell_left_out(done.left_out)


def tell_left_out(left_out: list[str]) -> None:
    """Name what was not carried."""
    from dais.cli.problems import harmless

    for line in left_out[:SHOWN]:
        note(f"left out {harmless(line)}")
    if len(left_out) > SHOWN:
        note(f"left out {len(left_out) - SHOWN:,} more; --json lists all")
