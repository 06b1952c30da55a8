"""`dais user`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected
from dais.cli.identity.keys import keys_of
from dais.cli.identity.policies import policies_of
from dais.cli.output import Output, with_output_of
from dais.wire.identities import User

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("id", "name", "organization", "email", "administrator", "disabled")


@click.group()
def user() -> None:
    """Make, list, change and disable users, their keys and their policies.

    A user is named by a name in your organization, a full name as acme.joe, an e-mail address or an id.

    \b
    Examples:
      dais user new joe@example.org
      dais user get --field urn
      dais user set --name joe
    """


@user.command()
@click.argument("ref", metavar="USER", required=False)
@with_output_of(User)
@connected
def get(client: Client, output: Output, ref: str | None) -> None:
    """Show a user; without a name yourself.

    \b
    Examples:
      dais user get --field urn
      dais user get joe --json
    """
    output.one(client.users.get(ref), COLUMNS)


@user.command()
@click.option("--organization", metavar="ORGANIZATION", help="Only of this one.")
@click.option("--text", metavar="TEXT", help="Only those with this in their name or e-mail address.")
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@with_output_of(User)
@connected
def ls(client: Client, output: Output, organization: str | None, text: str | None, limit: int | None) -> None:
    """List the users that you may see.

    \b
    Examples:
      dais user ls
      dais user ls --organization acme --fields name,email
    """
    output.many(User, client.users.list(organization, text=text, limit=limit), COLUMNS)


@user.command()
@click.argument("who", metavar="EMAIL|NAME")
@click.option("--name", metavar="NAME", help="What they are called. [default: as the e-mail address begins]")
@click.option("--full-name", metavar="TEXT", help="A name for people to read.")
@click.option("--organization", metavar="ORGANIZATION", help="Whose they are. [default: yours]")
@click.option("--administrator", is_flag=True, help="They administer the whole installation.")
@with_output_of(User)
@connected
def new(
    client: Client,
    output: Output,
    who: str,
    name: str | None,
    full_name: str | None,
    organization: str | None,
    administrator: bool,
) -> None:
    """Make a user, with an account of their own that is called as they are.

    \b
    Examples:
      dais user new joe@example.org
      dais user new joe@example.org --name joe-smith --full-name "Joe Smith"
      dais user new ci --organization acme
    """
    email = who if "@" in who else None
    if email is None and name is not None:
        raise click.UsageError(f"{who!r} and --name are two names; give an e-mail address, or one name")
    made = client.users.new(
        email,
        name=name if email else who,
        full_name=full_name,
        organization=organization,
        administrator=administrator,
    )
    output.one(made, COLUMNS)


@user.command("set")
@click.argument("ref", metavar="USER", required=False)
@click.option("--name", metavar="NAME", help="What they are called from now on, and their own account with them.")
@click.option("--full-name", metavar="TEXT", help="A name for people to read.")
@click.option("--email", metavar="EMAIL", help="Where they are mailed.")
@click.option(
    "--administrator/--no-administrator", default=None, help="Whether they administer the whole installation."
)
@with_output_of(User)
@connected
def set_(
    client: Client,
    output: Output,
    ref: str | None,
    name: str | None,
    full_name: str | None,
    email: str | None,
    administrator: bool | None,
) -> None:
    """Change what is known of a user; without a name yourself.

    \b
    Examples:
      dais user set --name joe
      dais user set joe --email joe@example.org
    """
    if name is None and full_name is None and email is None and administrator is None:
        raise click.UsageError("say what to change: --name, --full-name, --email or --administrator")
    made = client.users.set(ref, name=name, full_name=full_name, email=email, administrator=administrator)
    output.one(made, COLUMNS)


@user.command()
@click.argument("ref", metavar="USER")
@with_output_of(User)
@connected
def disable(client: Client, output: Output, ref: str) -> None:
    """Let a user in no more; their keys and sessions end, what is theirs stays.

    \b
    Example:
      dais user disable joe
    """
    output.one(client.users.disable(ref), COLUMNS)


@user.command()
@click.argument("ref", metavar="USER")
@with_output_of(User)
@connected
def enable(client: Client, output: Output, ref: str) -> None:
    """Let a disabled user in again.

    \b
    Example:
      dais user enable joe
    """
    output.one(client.users.enable(ref), COLUMNS)


user.add_command(keys_of("user", "joe", " Without a name yours."))
user.add_command(policies_of("user", "joe"))
