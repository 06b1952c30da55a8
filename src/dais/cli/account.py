"""`dais account`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected
from dais.cli.output import Output, with_output_of
from dais.wire.answers import Account

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("id", "name", "full_name", "organization", "parent")


@click.group()
def account() -> None:
    """List and show accounts.

    \b
    Example:
      dais account ls
    """


@account.command()
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@with_output_of(Account)
@connected
def ls(client: Client, output: Output, limit: int | None) -> None:
    """List the accounts that you may use.

    \b
    Example:
      dais account ls --fields fullName
    """
    output.many(Account, client.accounts.list(limit=limit), COLUMNS)


@account.command()
@click.argument("ref", metavar="ACCOUNT", required=False)
@with_output_of(Account)
@connected
def get(client: Client, output: Output, ref: str | None) -> None:
    """Show an account; without a name the one that you act in.

    \b
    Examples:
      dais account get
      dais account get acme.vision --field urn
    """
    output.one(client.accounts.get(ref or client.account or client.me().account), COLUMNS)
