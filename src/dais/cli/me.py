"""`dais me`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected
from dais.cli.output import Output, with_output_of
from dais.wire.answers import Me

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("id", "name", "organization", "account", "administrator")


@click.command()
@with_output_of(Me)
@connected
def me(client: Client, output: Output) -> None:
    """Tell who you are, and where you are connected.

    \b
    Examples:
      dais me
      dais me --field account
    """
    found = client.me()
    if not output.for_people:
        output.one(found, COLUMNS)
        return
    click.echo(f"{found.name}, in account {client.account or found.account}")
    role = "; you administer this installation" if found.administrator else ""
    click.echo(f"organization {found.organization}, user {found.id}{role}")
    click.echo(f"server {client.access.url} (from {client.access.url_origin}), token from {client.access.token_origin}")
