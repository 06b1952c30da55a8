"""`dais me`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from dais.cli.base import connected
from dais.cli.output import Output, with_output_of
from dais.wire.answers import Me

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("id", "name", "organization", "account", "administrator")


class MeHere(Me, frozen=True, kw_only=True):
    """Who one is, and what this machine connects with: where the address and the token come from."""

    server: str
    server_from: str
    token_from: str
    profile: str


@click.command()
@with_output_of(MeHere)
@connected
def me(client: Client, output: Output) -> None:
    """Tell who you are, and where you are connected.

    \b
    Examples:
      dais me
      dais me --field account
      dais me --field token_from
    """
    found = client.me()
    if not output.for_people:
        access = client.access
        here = MeHere(
            **msgspec.structs.asdict(found),
            server=access.url,
            server_from=access.url_origin,
            token_from=access.token_origin,
            profile=access.profile,
        )
        output.one(here, COLUMNS)
        return
    click.echo(f"{found.name}, in account {client.account or found.account}")
    role = "; you administer this installation" if found.administrator else ""
    click.echo(f"organization {found.organization}, user {found.id}{role}")
    click.echo(f"server {client.access.url} (from {client.access.url_origin}), token from {client.access.token_origin}")
