"""`dais organization`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected, note
from dais.cli.identity.account import jobs_limit
from dais.cli.identity.completing import organization_names
from dais.cli.identity.roles import roles_of
from dais.cli.output import Output, with_output_of
from dais.wire.identities import Organization

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("id", "name", "mfa_required", "created_at")
LIMITED = (*COLUMNS, "interactive_jobs")


@click.group(cls=LazyGroup)
def organization() -> None:
    """Make, list and change organizations, and who administers them.

    \b
    Examples:
      dais organization get
      dais organization role member add acme.admin --user joe
    """


@organization.command()
@click.argument("ref", metavar="ORGANIZATION", required=False, shell_complete=organization_names)
@with_output_of(Organization)
@connected
def get(client: Client, output: Output, ref: str | None) -> None:
    """Show an organization; without a name yours.

    \b
    Examples:
      dais organization get
      dais organization get acme --field urn
    """
    output.one(client.organizations.get(ref), LIMITED)


@organization.command()
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@with_output_of(Organization)
@connected
def ls(client: Client, output: Output, limit: int | None) -> None:
    """List the organizations that you may see.

    \b
    Example:
      dais organization ls --fields id,name
    """
    output.many(Organization, client.organizations.list(limit=limit), COLUMNS)


@organization.command()
@click.argument("name", metavar="NAME")
@with_output_of(Organization)
@connected
def new(client: Client, output: Output, name: str) -> None:
    """Make an organization; for administrators of the installation.

    \b
    Examples:
      dais organization new acme
      dais user new joe@example.org --organization acme
      dais organization role member add acme.admin --user acme.joe
    """
    made = client.organizations.new(name)
    output.one(made, COLUMNS)
    if output.for_people:
        note(f"it has no users yet; `dais user new EMAIL --organization {made.name}` makes one")


@organization.command("set")
@click.argument("ref", metavar="ORGANIZATION", required=False, shell_complete=organization_names)
@click.option("--name", metavar="NAME", help="What it is called from now on, and its accounts with it.")
@click.option(
    "--mfa-required/--no-mfa-required", default=None, help="Whether its users need a second factor to sign in."
)
@click.option(
    "--interactive-jobs",
    metavar="N",
    help="How many one user may have in its accounts (for administrators of the installation); 0: no limit, `default`.",
)
@with_output_of(Organization)
@connected
def set_(
    client: Client,
    output: Output,
    ref: str | None,
    name: str | None,
    mfa_required: bool | None,
    interactive_jobs: str | None,
) -> None:
    """Change an organization; without a name yours.

    Where a second factor is required, those without one set it up when they next open a page.

    \b
    Examples:
      dais organization set acme --name acme-labs
      dais organization set acme --mfa-required
      dais organization set acme --interactive-jobs 2
    """
    if name is None and mfa_required is None and interactive_jobs is None:
        raise click.UsageError("say what to change: --name, --mfa-required or --interactive-jobs")
    most = jobs_limit(interactive_jobs) if interactive_jobs is not None else None
    changed = client.organizations.set(ref, name=name, mfa_required=mfa_required, interactive_jobs=most)
    output.one(changed, LIMITED)


organization.add_command(roles_of("organization", "acme", "yours"))
