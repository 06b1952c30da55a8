"""`eai login`, and `eai login token`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected
from dais.cli.login import login as _login
from dais.eai.words import in_their_words
from dais.sdk.errors import Unauthenticated

if TYPE_CHECKING:
    from dais.sdk.client import Client


class _Login(click.Group):
    """Without `token` it signs in; an address may follow."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args[:1] in (["token"], ["--help"]) else ["into", *args])

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in super().list_commands(ctx) if name != "into"]


@click.group(cls=_Login)
def login() -> None:
    """Sign this machine in: `eai login [URL]` prints an address to open in a browser, on any machine.

    The token goes into Dais's profile file. EAI_TOKEN, where it is set, wins over it.

    \b
    Examples:
      eai login https://dais.example.org
      eai login token
    """


@login.command()
@connected
def token(client: Client) -> None:
    """Print the token that commands use now.

    \b
    Example:
      curl -H "Authorization: Bearer $(eai login token)" $DAIS_URL/v1/me
    """
    if client.access.token is None:
        raise Unauthenticated("no token was found", code="token-missing")
    click.echo(client.access.token)


_into = click.Command(
    "into", params=_login.params, callback=_login.callback, help=in_their_words(_login.help or ""), hidden=True
)
login.add_command(_into)
