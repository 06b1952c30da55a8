"""`dais node`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected, note
from dais.cli.output import Output, with_output_of
from dais.wire.answers import Node

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = (
    "name",
    "group",
    "state",
    "cpu",
    "free_cpu",
    "others_cpu",
    "mem",
    "free_mem",
    "others_mem",
    "gpu",
    "free_gpu",
)


@click.group(cls=LazyGroup)
def node() -> None:
    """List the machines and what is free of them.

    \b
    Example:
      dais node ls
    """


@node.command()
@with_output_of(Node)
@connected
def ls(client: Client, output: Output) -> None:
    """List the machines with their slots, what is free of them, and what others than Dais use there.

    \b
    Examples:
      dais node ls
      dais node ls --fields name,freeCpu,freeMem
    """
    found = list(client.nodes())
    output.many(Node, found, COLUMNS)
    if output.for_people:
        for one in found:
            for warning in one.warnings:
                note(f"warning: {warning}")
