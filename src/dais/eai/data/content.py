"""`eai data content`."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from dais.cli.base import connected
from dais.cli.output import Output, with_output_of
from dais.eai.data.references import Place, living, place
from dais.eai.data.versions import version_entries
from dais.sdk.errors import NotFound
from dais.wire.answers import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dais.sdk.client import Client
    from dais.wire.answers import Entry

WILD = ("*", "?", "[")


class Content(Answer, frozen=True, kw_only=True):
    """A file or directory in data. Its `status` is `new`: what was put there is there, without a commit."""

    name: str
    status: str = "new"
    kind: str
    size: int
    modified_at: str | None


@click.group()
def content() -> None:
    """List and remove what is in data.

    \b
    Example:
      eai data content ls acme.joe.home
    """


@content.command("ls")
@click.argument("name", metavar="NAME[@BRANCH|@VERSION][/PATH]")
@click.argument("path", metavar="[PATH]", default="")
@click.option("--path", "named", metavar="PATH", help="The same as PATH.")
@with_output_of(Content)
@connected
def content_ls(client: Client, output: Output, name: str, path: str, named: str | None) -> None:
    """List the files and directories in data, or below a directory of it.

    \b
    Examples:
      eai data content ls acme.joe.home
      eai data content ls acme.joe.home@next --path models
    """
    found = entries_of(client, place(name), named or path)
    shown = (Content(name=one.path, kind=one.kind, size=one.size, modified_at=one.modified_at) for one in found)
    output.many(Content, shown, ("name", "status"))


@content.command("rm")
@click.argument("name", metavar="NAME")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@connected
def content_rm(client: Client, name: str, paths: tuple[str, ...]) -> None:
    """Remove files and directories, with all that is in them; `.` empties the data, * and ? stand for other names.

    \b
    Examples:
      eai data content rm acme.joe.home models/old
      eai data content rm acme.joe.home 'logs/*.txt'
      eai data content rm acme.joe.home .
    """
    folder = living(name).folder
    for path in paths:
        for one in _matching(client, folder, path):
            client.folders.remove_entries(folder, one, recursive=True)


def entries_of(client: Client, found: Place, path: str) -> list[Entry]:
    """All that is below a path of data, as a tree has it: what is in a directory right behind it."""
    below = f"{found.below}/{path}"
    if found.version is not None:
        entries: Iterable[Entry] = version_entries(client, found, below)
    else:
        entries = client.folders.entries(found.folder, below, recursive=True)
    return sorted(entries, key=lambda one: one.path.split("/"))


def _matching(client: Client, folder: str, path: str) -> list[str]:
    """The paths that a pattern means, one name after the other; a path without * and ? is itself.

    Raises NotFound where there is none.
    """
    if not any(mark in path for mark in WILD):
        return [path]
    found = [""]
    for pattern in path.strip("/").split("/"):
        if pattern in ("", "."):
            continue
        entries = [one for top in found for one in client.folders.entries(folder, top) if one.path != top]
        found = [one.path for one in entries if fnmatchcase(one.path.rpartition("/")[2], pattern)]
    if not found:
        raise NotFound(f"there is nothing like {path!r} in {folder}", code="no-such-file", status=404)
    return found
