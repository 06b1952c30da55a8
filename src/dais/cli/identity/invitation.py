"""`dais invitation`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import Globals, LazyGroup, connected, note, open_client
from dais.cli.output import Output, with_output_of
from dais.wire.identities import Invitation

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("id", "email", "state", "invited_by", "roles", "mail", "expires_at")


@click.group(cls=LazyGroup)
def invitation() -> None:
    """Invite people by e-mail, list and take back invitations.

    \b
    Examples:
      dais invitation new joe@example.org --account acme.lab
      dais invitation ls
    """


@invitation.command()
@click.argument("email", metavar="EMAIL")
@click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="ACCOUNT[:ROLE]",
    help="Where they shall work, and the role that they get there, by default user; may be given again.",
)
@click.option("--organization", metavar="ORGANIZATION", help="Whose they shall be. [default: yours]")
@click.option("--profile", metavar="NAME", help="Use this profile of the profile file (DAIS_PROFILE).")
@with_output_of(Invitation)
def new(output: Output, email: str, accounts: tuple[str, ...], organization: str | None, profile: str | None) -> None:
    """Invite somebody, who then chooses a name and a password. The link is good for a week, once.

    Where this installation sends no mail, or it could not be sent, the link is printed: hand it over yourself. You can
    only give what you have.

    \b
    Examples:
      dais invitation new joe@example.org --account acme.lab --account acme.vision:admin
      dais invitation new ann@example.org --json
    """
    context = click.get_current_context()
    context.obj = Globals(profile=profile or (context.find_object(Globals) or Globals()).profile)
    with open_client() as client:
        made = client.invitations.new(email, accounts=accounts, organization=organization)
    if not output.for_people:
        output.one(made, COLUMNS)
        return
    if made.link is None:
        note(f"{made.email} is invited by mail")
        return
    click.echo(made.link)
    why = f"the mail could not be sent: {made.mail}" if made.mail else "this installation sends no mail"
    note(f"{why}; give {made.email} this link, which works once, within a week")


@invitation.command()
@click.option("--organization", metavar="ORGANIZATION", help="Of this one. [default: yours]")
@with_output_of(Invitation)
@connected
def ls(client: Client, output: Output, organization: str | None) -> None:
    """List invitations, and what came of them.

    \b
    Example:
      dais invitation ls --fields email,state,mail
    """
    output.many(Invitation, client.invitations.list(organization), COLUMNS)


@invitation.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@connected
def rm(client: Client, ids: tuple[str, ...]) -> None:
    """Take invitations back; their links are good no more.

    \b
    Example:
      dais invitation rm 0193a1b2-77c1-7d1e-9f00-3f1f2a5c8d10
    """
    for one in ids:
        client.invitations.rm(one)
