"""`dais dotfile`: small files in the home of interactive jobs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected, note
from dais.cli.output import Output, with_output_of
from dais.wire.answers import Dotfile

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("path", "size", "mode", "set_at")


@click.group(cls=LazyGroup)
def dotfile() -> None:
    """Keep small files in the home of your interactive jobs.

    Each interactive job of yours that starts has them. One is no file of the home: `bootstrap` is a script that is run
    there before the command.

    \b
    Examples:
      dais dotfile set .bashrc ~/.bashrc
      echo "pip install -q black" | dais dotfile set bootstrap
    """


@dotfile.command("set")
@click.argument("path", metavar="PATH")
@click.argument("file", required=False, type=click.Path(dir_okay=False, exists=True), metavar="[FILE]")
@click.option("--mode", metavar="MODE", help="Its permissions, as 600 or 755.  [default: 644]")
@with_output_of(Dotfile)
@connected
def set_(client: Client, output: Output, path: str, file: str | None, mode: str | None) -> None:
    """Set a dotfile, from a file or from stdin.

    \b
    Examples:
      dais dotfile set .aws/config ~/.aws/config --mode 600
      dais dotfile set .gitconfig < ~/.gitconfig
    """
    if mode is not None and (not mode.isdigit() or set(mode) - set("01234567")):
        raise click.BadParameter(f"{mode!r} is no octal number such as 644", param_hint="--mode")
    content = Path(file).read_bytes() if file is not None else sys.stdin.buffer.read()
    made = client.dotfiles.set(path, content, int(mode or "644", 8))
    if output.for_people:
        note(f"{made.path} is set; interactive jobs that start from now on have it")
    else:
        output.one(made, COLUMNS)


@dotfile.command()
@with_output_of(Dotfile)
@connected
def ls(client: Client, output: Output) -> None:
    """List your dotfiles.

    \b
    Example:
      dais dotfile ls
    """
    found = client.dotfiles.list()
    if not found and output.for_people:
        note("no dotfiles yet; `dais dotfile set .bashrc ~/.bashrc` makes one")
    output.many(Dotfile, found, COLUMNS)


@dotfile.command()
@click.argument("path", metavar="PATH")
@connected
def show(client: Client, path: str) -> None:
    """Print the content of a dotfile.

    \b
    Example:
      dais dotfile show .bashrc
    """
    sys.stdout.buffer.write(client.dotfiles.read(path))
    sys.stdout.buffer.flush()


@dotfile.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@connected
def rm(client: Client, paths: tuple[str, ...]) -> None:
    """Remove dotfiles; jobs that run keep theirs.

    \b
    Example:
      dais dotfile rm .bashrc bootstrap
    """
    for path in paths:
        client.dotfiles.rm(path)
