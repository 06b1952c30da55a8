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
LIMITED = (*COLUMNS, "log_days", "log_bytes")


@click.group()
def account() -> None:
    """List, show and change accounts.

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
    output.one(client.accounts.get(ref or client.account or client.me().account), LIMITED)


@account.command("set")
@click.argument("ref", metavar="ACCOUNT")
@click.option("--log-days", metavar="DAYS", help="Keep logs so long; 0: for ever, `default`: as in the installation.")
@click.option("--log-bytes", metavar="SIZE", help="Keep so much output, as 50Gi; 0: no limit, `default`.")
@with_output_of(Account)
@connected
def set_(client: Client, output: Output, ref: str, log_days: str | None, log_bytes: str | None) -> None:
    """Change how long an account's logs are kept; for administrators.

    \b
    Examples:
      dais account set acme.vision --log-days 365 --log-bytes 50Gi
      dais account set acme.vision --log-days default
    """
    from dais.wire.scalars import integer
    from dais.wire.units import parse_size

    change: dict[str, int | None] = {}
    if log_days is not None:
        change["log_days"] = None if log_days == "default" else integer(log_days, "--log-days")
    if log_bytes is not None:
        zero = log_bytes == "0"
        change["log_bytes"] = None if log_bytes == "default" else 0 if zero else parse_size(log_bytes, "--log-bytes")
    if not change:
        raise click.UsageError("say what to change: --log-days or --log-bytes")
    output.one(client.accounts.set(ref, change), LIMITED)
