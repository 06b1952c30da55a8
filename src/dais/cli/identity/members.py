"""`member ls`, `add` and `rm` of roles and teams."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from dais.cli.base import LazyGroup, connected
from dais.cli.identity.completing import NAMES, team_names, user_names
from dais.cli.output import Output, with_output_of
from dais.wire.identities import Member

if TYPE_CHECKING:
    from dais.sdk.client import Client
    from dais.sdk.roles import Roles
    from dais.sdk.teams import Teams

COLUMNS = ("id", "name", "type")

_user = click.option(
    "--user", metavar="USER", help="A user: a name, an e-mail address or an id.", shell_complete=user_names
)
_team = click.option("--team", metavar="TEAM", help="A team, with all of its members.", shell_complete=team_names)


def members_of(
    path: str, what: str, example: str, find: Callable[[Client, str], tuple[Roles | Teams, str]]
) -> click.Group:
    """The group `member` below `dais PATH`; `find` gives the resource, and the name that it knows the thing by."""
    metavar = what.upper()

    @click.group(
        cls=LazyGroup, help=f"List and change who is in a {what}.\n\n\b\nExample:\n  dais {path} member ls {example}\n"
    )
    def member() -> None: ...

    def command(name: str, summary: str, call: str) -> Callable[[Callable[..., Any]], click.Command]:
        return member.command(name, help=f"{summary}\n\n\b\nExample:\n  dais {path} member {call}\n")

    @command("ls", f"List the direct members of a {what}.", f"ls {example}")
    @click.argument("ref", metavar=metavar, shell_complete=NAMES[what])
    @click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
    @with_output_of(Member)
    @connected
    def ls(client: Client, output: Output, ref: str, limit: int | None) -> None:
        things, found = find(client, ref)
        output.many(Member, things.members(found, limit=limit), COLUMNS)

    @command("add", f"Add a user or a team to a {what}, and print its members.", f"add {example} --user joe")
    @click.argument("ref", metavar=metavar, shell_complete=NAMES[what])
    @_user
    @_team
    @with_output_of(Member)
    @connected
    def add(client: Client, output: Output, ref: str, user: str | None, team: str | None) -> None:
        _check(user, team)
        things, found = find(client, ref)
        things.add_member(found, user=user, team=team)
        output.many(Member, things.members(found), COLUMNS)

    @command("rm", f"Remove a user or a team from a {what}, and print its members.", f"rm {example} --user joe")
    @click.argument("ref", metavar=metavar, shell_complete=NAMES[what])
    @_user
    @_team
    @with_output_of(Member)
    @connected
    def rm(client: Client, output: Output, ref: str, user: str | None, team: str | None) -> None:
        _check(user, team)
        things, found = find(client, ref)
        things.remove_member(found, user=user, team=team)
        output.many(Member, things.members(found), COLUMNS)

    return member


def _check(user: str | None, team: str | None) -> None:
    if (user is None) == (team is None):
        raise click.UsageError("name one member: --user USER or --team TEAM")
