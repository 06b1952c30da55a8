"""`dais file`: versioned files, up and down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected, note
from dais.cli.output import Output, with_output, with_output_of
from dais.cli.progress import transfer_bar
from dais.wire.lake import Committed, FileVersion, LakeEntry

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("path", "version", "size", "created_by", "created_at")
COMMITTED = ("path", "version", "state")

PATIENCE = 60.0
"""Seconds for which a transfer waits for a server that does not answer: it may be starting anew."""


@click.group(cls=LazyGroup)
def file() -> None:
    """Upload, download and list versioned files.

    Nothing is overwritten: each upload gives a file its next version, /data/a.txt:1, :2, :3; without a number the
    latest is meant. What the server has is not sent again.

    \b
    Examples:
      dais file upload train.json /data/           as /data/train.json
      dais file download /data/train.json:1 old.json
      dais file ls /data/
    """


@file.command()
@click.argument("local", metavar="LOCAL...", nargs=-1, type=click.Path(exists=True))
@click.argument("remote", metavar="REMOTE")
@click.option("--set", "fileset", metavar="NAME", help="Make a version of this file set of them.")
@click.option("--always", is_flag=True, help="Make new versions also of what has not changed.")
@with_output_of(Committed)
@connected
def upload(
    client: Client, output: Output, local: tuple[str, ...], remote: str, fileset: str | None, always: bool
) -> None:
    """Upload files and directories; all get their versions at once.

    REMOTE that ends with / is a directory: files go below it under their own names, and what a directory holds as it
    lies there. After an interruption, the same command goes on where it was. Links are left out, and what patterns in
    .daisignore files say.

    \b
    Examples:
      dais file upload train.json /data/
      dais file upload train.json /data/new-name.json
      dais file upload ./corpus /corpus/ --set texts
    """
    if not local:
        raise click.UsageError(f"say where it goes, as in `dais file upload {remote} /data/`")
    client.patience = PATIENCE
    with transfer_bar(f"upload to {remote}") as progress:
        done = client.files.upload_tree(list(local), remote, always=always, progress=progress)
    if not done:
        note(f"there are no files in {', '.join(local)}, and directories alone are not kept")
        if fileset:
            raise click.UsageError(f"a file set is made of files: there is no version of {fileset}")
    made = client.filesets.create(fileset, [f"{one.path}:{one.version}" for one in done]) if fileset else None
    if not output.for_people:
        output.many(Committed, done, COMMITTED)
        return
    new = [one for one in done if one.state == "new"]
    if len(done) <= 10:
        output.many(Committed, done, COMMITTED)
    else:
        click.echo(f"{len(new):,} new versions, {len(done) - len(new):,} files had not changed")
    if made is not None:
        note(f"{made.name}:{made.version} holds {made.files:,} files")


@file.command()
@click.argument("places", metavar="REMOTE... [LOCAL]", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Of a directory: replace what is there and is not the same.")
@with_output
@connected
def download(client: Client, output: Output, places: tuple[str, ...], force: bool) -> None:
    """Download files, or a directory with all below it.

    A file goes to LOCAL, or below it where that is a directory; without LOCAL into this one. Every content is verified
    before it gets its name.

    \b
    Examples:
      dais file download /data/train.json
      dais file download /data/train.json:1 old.json
      dais file download /corpus/ ./corpus
    """
    from dais.cli.folder import tell

    remote, local = (places[:-1], places[-1]) if len(places) > 1 else (places, ".")
    client.patience = PATIENCE
    directories = [one for one in remote if one.endswith("/")]
    if directories and len(remote) > 1:
        raise click.UsageError("download one directory at a time, or files")
    with transfer_bar(f"download to {local}") as progress:
        if directories:
            done = client.files.download_tree(directories[0], local, force=force, progress=progress)
        else:
            into = local if len(remote) == 1 else f"{local.rstrip('/')}/"
            done = client.files.download([(one, into) for one in remote], progress=progress)
    tell(output, "fetched", done)


@file.command()
@click.argument("directory", metavar="[DIRECTORY]", default="/")
@click.option("--recursive", "-r", is_flag=True, help="All files below it.")
@click.option("--limit", "-n", type=click.IntRange(1), help="At most so many.")
@with_output_of(LakeEntry)
@connected
def ls(client: Client, output: Output, directory: str, recursive: bool, limit: int | None) -> None:
    """List a directory: its directories, then its files with their latest versions.

    \b
    Examples:
      dais file ls
      dais file ls /data/ --recursive --fields path,version,digest
    """
    output.many(LakeEntry, client.files.ls(directory, recursive=recursive, limit=limit), COLUMNS)


@file.command()
@click.argument("path", metavar="PATH")
@click.option("--limit", "-n", type=click.IntRange(1), help="At most so many.")
@with_output_of(FileVersion)
@connected
def versions(client: Client, output: Output, path: str, limit: int | None) -> None:
    """List the versions of a file, the newest first.

    \b
    Example:
      dais file versions /data/train.json
    """
    output.many(FileVersion, client.files.versions(path, limit=limit), (*COLUMNS, "digest"))


@file.command()
@click.argument("paths", metavar="PATH[:VERSION]...", nargs=-1, required=True)
@connected
def rm(client: Client, paths: tuple[str, ...]) -> None:
    """Remove versions, or files with all their versions. What a file set holds is not removed.

    \b
    Examples:
      dais file rm /data/train.json:1
      dais file rm /data/train.json
    """
    for path in paths:
        removed = client.files.rm(path)
        note(f"removed {removed.versions:,} {'version' if removed.versions == 1 else 'versions'} of {path}")
