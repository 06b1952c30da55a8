"""`dais team`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected
from dais.cli.identity.completing import team_names
from dais.cli.identity.members import members_of
from dais.cli.identity.policies import policies_of
from dais.cli.identity.roles import roles_of
from dais.cli.output import Output, with_output_of
from dais.wire.identities import Team

if TYPE_CHECKING:
    from dais.sdk.client import Client
    from dais.sdk.teams import Teams

COLUMNS = ("id", "name", "organization")


@click.group(cls=LazyGroup)
def team() -> None:
    """Make, list and change teams: users, and other teams, who are allowed the same.

    A team is named by a name in your organization, a full name as acme.vision, or an id.

    \b
    Examples:
      dais team new vision
      dais team member add vision --user joe
      dais team policy new vision 'job:get@acme:account:acme.lab:job:*'
    """


@team.command()
@click.argument("ref", metavar="TEAM", shell_complete=team_names)
@with_output_of(Team)
@connected
def get(client: Client, output: Output, ref: str) -> None:
    """Show a team.

    \b
    Example:
      dais team get vision --field urn
    """
    output.one(client.teams.get(ref), COLUMNS)


@team.command()
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@with_output_of(Team)
@connected
def ls(client: Client, output: Output, limit: int | None) -> None:
    """List the teams that you may see.

    \b
    Example:
      dais team ls --fields id,name
    """
    output.many(Team, client.teams.list(limit=limit), COLUMNS)


@team.command()
@click.argument("name", metavar="TEAM")
@with_output_of(Team)
@connected
def new(client: Client, output: Output, name: str) -> None:
    """Make a team, which you administer then.

    \b
    Examples:
      dais team new vision
      dais team new acme.vision
    """
    output.one(client.teams.new(name), COLUMNS)


@team.command("set")
@click.argument("ref", metavar="TEAM", shell_complete=team_names)
@click.option("--name", metavar="NAME", required=True, help="What it is called from now on.")
@with_output_of(Team)
@connected
def set_(client: Client, output: Output, ref: str, name: str) -> None:
    """Give a team another name.

    \b
    Example:
      dais team set vision --name sight
    """
    output.one(client.teams.set(ref, name=name), COLUMNS)


@team.command()
@click.argument("teams", metavar="TEAM...", nargs=-1, required=True, shell_complete=team_names)
@connected
def rm(client: Client, teams: tuple[str, ...]) -> None:
    """Remove teams, with their roles; what their members had through them they have no more.

    \b
    Example:
      dais team rm vision
    """
    for one in teams:
        client.teams.rm(one)


def _find(client: Client, ref: str) -> tuple[Teams, str]:
    return client.teams, ref


team.add_command(members_of("team", "team", "vision", _find))
team.add_command(roles_of("team", "acme.vision", "all teams that you may see"))
team.add_command(policies_of("team", "vision"))
