"""`dais account`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from dais.cli.base import LazyGroup, chosen, connected
from dais.cli.identity.completing import account_names
from dais.cli.identity.names import acted_in
from dais.cli.identity.roles import roles_of
from dais.cli.output import Output, with_output_of
from dais.wire.answers import Account

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("id", "name", "organization", "parent")
LIMITED = ("id", "name", "full_name", "organization", "parent", "log_days", "log_bytes", "interactive_jobs")


@click.group(cls=LazyGroup)
def account() -> None:
    """Make, list and change accounts, and who works in them.

    Jobs, folders and secrets belong to accounts. An account can have child accounts: who may do something in it may do
    it in those, too. Accounts are never deleted, for what they hold goes by their name; rename what is done with, and
    take its members away.

    \b
    Examples:
      dais account new acme.lab
      dais account new acme.lab.production
      dais account ls acme.lab
      dais account role member add acme.lab.user --user joe
    """


@account.command()
@click.argument("ref", metavar="ACCOUNT", required=False, shell_complete=account_names)
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@with_output_of(Account)
@connected
def ls(client: Client, output: Output, ref: str | None, limit: int | None) -> None:
    """List the child accounts of an account or organization; without a name all accounts that you may use.

    \b
    Examples:
      dais account ls
      dais account ls acme.lab
      dais account ls --fields fullName
    """
    output.many(Account, client.accounts.list(ref or chosen().account, limit=limit), COLUMNS)


@account.command()
@click.argument("ref", metavar="ACCOUNT", required=False, shell_complete=account_names)
@with_output_of(Account)
@connected
def get(client: Client, output: Output, ref: str | None) -> None:
    """Show an account; without a name the one that you act in.

    \b
    Examples:
      dais account get
      dais account get acme.vision --field urn
    """
    output.one(client.accounts.get(ref or acted_in(client)), LIMITED)


@account.command()
@click.argument("name", metavar="ACCOUNT", shell_complete=account_names)
@with_output_of(Account)
@connected
def new(client: Client, output: Output, name: str) -> None:
    """Make an account, which you administer then.

    Its full name begins with the organization, or the account, that it lies in. A name alone is made in the account of
    --account, else at the top of your organization.

    \b
    Examples:
      dais account new acme.lab
      dais account new acme.lab.production
      dais account new production --account acme.lab
    """
    parent = chosen().account if "." not in name else None
    output.one(client.accounts.new(name, parent), COLUMNS)


@account.command("set")
@click.argument("ref", metavar="ACCOUNT", shell_complete=account_names)
@click.option("--name", metavar="NAME", help="Its own name from now on; those below are renamed with it.")
@click.option("--log-days", metavar="DAYS", help="Keep logs so long; 0: for ever, `default`: as in the installation.")
@click.option("--log-bytes", metavar="SIZE", help="Keep so much output, as 50Gi; 0: no limit, `default`.")
@click.option(
    "--interactive-jobs", metavar="N", help="How many one user may have in it; 0: no limit, `default`: as above it."
)
@with_output_of(Account)
@connected
def set_(
    client: Client,
    output: Output,
    ref: str,
    name: str | None,
    log_days: str | None,
    log_bytes: str | None,
    interactive_jobs: str | None,
) -> None:
    """Change an account's name, or its limits (for administrators of the installation).

    \b
    Examples:
      dais account set acme.lab --name vision
      dais account set acme.vision --log-days 365 --log-bytes 50Gi
      dais account set acme.vision --log-days default
      dais account set acme.vision --interactive-jobs 3
    """
    from dais.wire.scalars import integer
    from dais.wire.units import parse_size

    change: dict[str, str | int | None] = {}
    if name is not None:
        change["name"] = name
    if log_days is not None:
        change["log_days"] = None if log_days == "default" else integer(log_days, "--log-days")
    if log_bytes is not None:
        zero = log_bytes == "0"
        change["log_bytes"] = None if log_bytes == "default" else 0 if zero else parse_size(log_bytes, "--log-bytes")
    if interactive_jobs is not None:
        most = jobs_limit(interactive_jobs)
        change["interactive_jobs"] = None if most == "default" else most
    if not change:
        raise click.UsageError("say what to change: --name, --log-days, --log-bytes or --interactive-jobs")
    output.one(client.accounts.set(ref, change), LIMITED)


def jobs_limit(text: str) -> int | Literal["default"]:
    """What `--interactive-jobs` says. Raises SpecError."""
    from dais.wire.scalars import integer

    return "default" if text == "default" else integer(text, "--interactive-jobs")


account.add_command(roles_of("account", "acme.lab", "the account that you act in"))
