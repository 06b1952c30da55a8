"""`dais image`: root directories that jobs start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected
from dais.cli.output import Output, with_output, with_output_of
from dais.wire.answers import Image

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("name", "group", "system", "python", "size", "path")

in_group = click.option("--group", metavar="GROUP", default="default", help="The resource group. [default: default]")


@click.group()
def image() -> None:
    """Register, list and remove the images that jobs start from.

    An image is a directory of the machine with a root file system in it. Jobs name it and see it read-only.

    \b
    Examples:
      dais image add debian /srv/images/debian
      dais run --image debian -- cat /etc/os-release
    """


@image.command()
@click.argument("name", metavar="NAME")
@click.argument("directory", metavar="DIRECTORY")
@in_group
@with_output
@connected
def add(client: Client, output: Output, name: str, directory: str, group: str) -> None:
    """Register a root directory of the server's machine as an image (administrators).

    It must be root's or the operator's, written by nobody else, and have a shell or a Python. Nothing is copied.

    \b
    Examples:
      dais image add debian /srv/images/debian
      dais image add alpine-3.20 /srv/images/alpine --json
    """
    output.one(client.images.add(name, directory, group=group), COLUMNS)


@image.command()
@with_output_of(Image)
@connected
def ls(client: Client, output: Output) -> None:
    """List the images.

    \b
    Example:
      dais image ls --fields name,system,python
    """
    output.many(Image, client.images.list(), COLUMNS)


@image.command()
@click.argument("name", metavar="NAME")
@in_group
@with_output_of(Image)
@connected
def get(client: Client, output: Output, name: str, group: str) -> None:
    """Show an image, with the size of its directory.

    \b
    Example:
      dais image get debian
    """
    output.one(client.images.get(name, group=group), COLUMNS)


@image.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@in_group
@connected
def rm(client: Client, names: tuple[str, ...], group: str) -> None:
    """Forget images (administrators); their directories stay as they are.

    \b
    Example:
      dais image rm debian
    """
    for name in names:
        client.images.rm(name, group=group)
