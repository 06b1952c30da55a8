"""`dais user`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected, note
from dais.cli.identity.completing import organization_names, user_names
from dais.cli.identity.keys import keys_of
from dais.cli.identity.policies import policies_of
from dais.cli.output import Output, with_output_of
from dais.wire.identities import User

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("id", "name", "organization", "email", "administrator", "disabled")

ASKED = "-"
"""Instead of a password: it is asked for."""


@click.group(cls=LazyGroup)
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
@click.argument("ref", metavar="USER", required=False, shell_complete=user_names)
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
@click.option("--organization", metavar="ORGANIZATION", help="Only of this one.", shell_complete=organization_names)
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
@click.option(
    "--organization", metavar="ORGANIZATION", help="Whose they are. [default: yours]", shell_complete=organization_names
)
@click.option("--administrator", is_flag=True, help="They administer the whole installation.")
@click.option(
    "--password",
    metavar="TEXT",
    help="What they sign in with the first time, and then change. Others can see arguments: `-` asks for it.",
)
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
    password: str | None,
) -> None:
    """Make a user, with an account of their own that is called as they are.

    \b
    Examples:
      dais user new joe@example.org
      dais user new joe@example.org --name joe-smith --full-name "Joe Smith"
      dais user new ci --organization acme
      dais user new joe@example.org --password -
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
        password=typed(who) if password == ASKED else password,
    )
    output.one(made, COLUMNS)


@user.command("password")
@click.argument("ref", metavar="USER", shell_complete=user_names)
@connected
def password_(client: Client, ref: str) -> None:
    """Set somebody's password, which they change when they sign in; their sessions end.

    It is asked for, or read from stdin. Your own you change in the pages, in the settings.

    \b
    Examples:
      dais user password joe
      pass show joe | dais user password joe@example.org
    """
    client.users.set_password(ref, typed(ref))
    note(f"{ref} can sign in with it, and then chooses another one")


@user.command()
@click.argument("ref", metavar="USER")
@with_output_of(User)
@connected
def reset(client: Client, output: Output, ref: str) -> None:
    """Take the second factors and the lock-out of a user away, who has lost their devices; they are signed out.

    For a password that is lost, too, see `dais user password`; for the last administrator, `dais admin reset`.

    \b
    Example:
      dais user reset joe
    """
    output.one(client.users.reset(ref), COLUMNS)


@user.command("set")
@click.argument("ref", metavar="USER", required=False, shell_complete=user_names)
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
@click.argument("ref", metavar="USER", shell_complete=user_names)
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
@click.argument("ref", metavar="USER", shell_complete=user_names)
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


def typed(who: str | None) -> str:
    """A password that is typed twice without being shown, or piped in."""
    if sys.stdin.isatty():
        given: str = click.prompt(f"Password of {who}", hide_input=True, confirmation_prompt=True, err=True)
        return given
    return sys.stdin.readline().rstrip("\r\n")
