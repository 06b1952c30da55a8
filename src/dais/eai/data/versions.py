"""`eai data commit` and `versions`, and what is in a version: a file set, see `dais folder seal`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dais.cli.base import connected
from dais.cli.folder import PATIENCE, VERSION, tell_left_out
from dais.cli.output import Output, with_output_of
from dais.eai.data.references import Place, living
from dais.wire.answers import Entry
from dais.wire.lake import FileSetVersion

if TYPE_CHECKING:
    from dais.sdk.client import Client
    from dais.sdk.progress import OnProgress, Transferred


@click.command()
@click.argument("name", metavar="NAME[@BRANCH]")
@with_output_of(FileSetVersion)
@connected
def commit(client: Client, output: Output, name: str) -> None:
    """Make a version of data: of the files that are in it, or in a branch of it, now.

    Jobs mount it read-only. It takes room of its own beside the data; contents that versions share are kept once.

    \b
    Examples:
      eai data commit acme.joe.code
      eai job new -d acme.joe.code@1:/app -- python3 /app/main.py
    """
    client.patience = PATIENCE
    made = client.folders.seal(living(name).folder)
    output.one(made.fileset, VERSION)
    tell_left_out(made.left_out)


@click.command()
@click.argument("name", metavar="NAME")
@with_output_of(FileSetVersion)
@connected
def versions(client: Client, output: Output, name: str) -> None:
    """List the versions of data, the newest first.

    \b
    Example:
      eai data versions acme.joe.code
    """
    data = client.folders.get(living(name).folder)
    output.many(FileSetVersion, client.filesets.versions(data.name, account=data.account), VERSION)


def version_entries(client: Client, found: Place, below: str) -> list[Entry]:
    """The files of a version that lie below a path, and their directories."""
    data = client.folders.get(found.folder)
    top = f"/{data.name}/"
    inner = "/".join(part for part in below.split("/") if part not in ("", "."))
    entries: dict[str, Entry] = {}
    for file in client.filesets.files(f"{data.name}:{found.version}", account=data.account):
        path = file.path.removeprefix(top)
        if not file.path.startswith(top) or not (not inner or path == inner or path.startswith(f"{inner}/")):
            continue
        entries[path] = Entry(path=path, kind="file", size=file.size, modified_at=file.created_at)
        for parent in Path(path).parents:
            if len(parent.as_posix()) > len(inner) and parent.as_posix() != ".":
                entries.setdefault(parent.as_posix(), Entry(path=parent.as_posix(), kind="directory", size=0))
    return list(entries.values())


def pull_version(client: Client, found: Place, remote: str, local: str, progress: OnProgress | None) -> Transferred:
    """Fetch what is at a path of a version into a directory, which is made."""
    data = client.folders.get(found.folder)
    below = "/".join(part for part in f"{data.name}/{remote}".split("/") if part not in ("", "."))
    Path(local).mkdir(parents=True, exist_ok=True)
    return client.filesets.download(
        f"{data.name}:{found.version}", local, account=data.account, below=f"/{below}", force=True, progress=progress
    )
