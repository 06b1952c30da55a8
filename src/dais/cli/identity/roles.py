"""`role ls` and `role member` below organizations, accounts and teams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected
from dais.cli.identity.completing import NAMES
from dais.cli.identity.members import members_of
from dais.cli.identity.names import acted_in, role_named
from dais.cli.output import Output, with_output_of
from dais.wire.identities import Role

if TYPE_CHECKING:
    from dais.sdk.client import Client
    from dais.sdk.roles import Parent, Roles

COLUMNS = ("id", "name", "parent", "predefined")


def roles_of(kind: Parent, example: str, default: str) -> click.Group:
    """The group `role` below `dais organization`, `account` or `team`; `default` says whose roles `ls` lists alone."""

    @click.group(
        cls=LazyGroup,
        help=f"List the roles of an {kind}, and who can assume them.\n\n\b\nExample:\n  dais {kind} role ls\n".replace(
            "an team", "a team"
        ),
    )
    def role() -> None: ...

    @role.command(
        help=f"List roles; without a name those of {default}.\n\n\b\nExamples:\n  dais {kind} role ls\n"
        f"  dais {kind} role ls {example} --fields id,name\n"
    )
    @click.argument("ref", metavar=kind.upper(), required=False, shell_complete=NAMES[kind])
    @click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
    @with_output_of(Role)
    @connected
    def ls(client: Client, output: Output, ref: str | None, limit: int | None) -> None:
        if ref is None and kind != "team":
            ref = acted_in(client) if kind == "account" else client.me().organization
        output.many(Role, client.roles.list(kind, ref, limit=limit), COLUMNS)

    def find(client: Client, ref: str) -> tuple[Roles, str]:
        return client.roles, client.roles.get(role_named(client, kind, ref), parent_type=kind).id

    role.add_command(members_of(f"{kind} role", "role", f"{example}.admin", find))
    return role
