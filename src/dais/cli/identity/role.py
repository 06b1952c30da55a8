"""`dais role`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected
from dais.cli.identity.completing import role_names
from dais.cli.identity.keys import keys_of
from dais.cli.identity.members import members_of
from dais.cli.identity.names import role_named
from dais.cli.identity.policies import policies_of
from dais.cli.identity.roles import COLUMNS
from dais.cli.output import Output, with_output_of
from dais.wire.identities import Role

if TYPE_CHECKING:
    from dais.sdk.client import Client
    from dais.sdk.roles import Parent, Roles


@click.group(cls=LazyGroup)
def role() -> None:
    """Make, list and change roles: policies for all who can assume them, and keys for programs.

    A role is attached to an organization, an account or a team, with whose name its own begins: acme.admin,
    acme.lab.job_access. A name alone is one of your organization, or of the account of --account.

    \b
    Examples:
      dais role new acme.lab.job_access
      dais role policy new acme.lab.job_access "job:get@$(dais job get --field urn JOB)"
      dais role key new acme.lab.job_access
    """


@role.command()
@click.argument("ref", metavar="ROLE", shell_complete=role_names)
@with_output_of(Role)
@connected
def get(client: Client, output: Output, ref: str) -> None:
    """Show a role.

    \b
    Example:
      dais role get acme.lab.job_access --field urn
    """
    output.one(client.roles.get(role_named(client, None, ref)), COLUMNS)


@role.command()
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@with_output_of(Role)
@connected
def ls(client: Client, output: Output, limit: int | None) -> None:
    """List all roles that you may see.

    `dais organization role ls`, `dais account role ls` and `dais team role ls` list those of one.

    \b
    Example:
      dais role ls --fields fullName,id
    """
    output.many(Role, client.roles.list(limit=limit), COLUMNS)


@role.command()
@click.argument("name", metavar="ROLE")
@click.option(
    "--policy",
    metavar="STATEMENT[,STATEMENT]",
    multiple=True,
    help="Attach these statements at once, as `dais role policy new`. Repeatable.",
)
@click.option(
    "--parent-type",
    type=click.Choice(["organization", "account", "team"]),
    help="What the name begins with, where an account and a team are called the same.",
)
@with_output_of(Role)
@connected
def new(client: Client, output: Output, name: str, policy: tuple[str, ...], parent_type: Parent | None) -> None:
    """Make a role of the organization, account or team that its name begins with.

    \b
    Examples:
      dais role new acme.lab.job_access
      dais role new job_access --account acme.lab
      dais role new acme.lab.watcher --policy 'job:get+job:logs@acme:account:acme.lab:job:*'
    """
    statements = [one for text in policy for one in text.split(",") if one]
    made = client.roles.new(role_named(client, None, name), parent_type=parent_type)
    if statements:
        try:
            client.policies.new("role", made.id, statements)
        except Exception:
            client.roles.rm(made.id)  # a role without what was asked for is nobody's wish
            raise
    output.one(made, COLUMNS)


@role.command("set")
@click.argument("ref", metavar="ROLE", shell_complete=role_names)
@click.option("--name", metavar="NAME", required=True, help="Its own name from now on.")
@with_output_of(Role)
@connected
def set_(client: Client, output: Output, ref: str, name: str) -> None:
    """Give a role another name; predefined ones keep theirs.

    \b
    Example:
      dais role set acme.lab.job_access --name readers
    """
    output.one(client.roles.set(role_named(client, None, ref), name=name), COLUMNS)


@role.command()
@click.argument("roles", metavar="ROLE...", nargs=-1, required=True, shell_complete=role_names)
@connected
def rm(client: Client, roles: tuple[str, ...]) -> None:
    """Remove roles, with their policies, members and keys; predefined ones stay.

    \b
    Example:
      dais role rm acme.lab.job_access
    """
    for one in roles:
        client.roles.rm(role_named(client, None, one))


def _find(client: Client, ref: str) -> tuple[Roles, str]:
    return client.roles, role_named(client, None, ref)


role.add_command(members_of("role", "role", "acme.lab.job_access", _find))
role.add_command(keys_of("role", "acme.lab.job_access", ""))
role.add_command(policies_of("role", "acme.lab.job_access"))
