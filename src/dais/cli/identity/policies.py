"""`policy new`, `ls` and `rm` of users, teams and roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected
from dais.cli.identity.completing import NAMES
from dais.cli.identity.names import role_named
from dais.cli.output import Output, with_output_of
from dais.wire.identities import Policy

if TYPE_CHECKING:
    from dais.sdk.client import Client
    from dais.sdk.policies import Subject

COLUMNS = ("id", "statements", "predefined")

STATEMENT = (
    "A statement is ACTION[+ACTION...]@URN[+URN...], with * for anything in both; in a URN names may stand for ids. "
    "One can grant only what one may do oneself."
)


def policies_of(kind: Subject, example: str) -> click.Group:
    """The group `policy` below `dais user`, `team` or `role`."""
    optional = kind == "user"
    own = " Without a name yours." if optional else ""
    metavar = kind.upper()

    @click.group(
        cls=LazyGroup,
        help=f"Attach statements to a {kind}, list them, take them away.\n\n{STATEMENT}\n\n\b\nExample:\n"
        f"  dais {kind} policy ls {example}\n",
    )
    def policy() -> None: ...

    @policy.command(
        help=f"Attach statements to a {kind}.\n\n{STATEMENT}\n\n\b\nExamples:\n"
        f"  dais {kind} policy new {example} 'job:get+job:logs@acme:account:acme.lab:job:*'\n"
        f'  dais {kind} policy new {example} "job:get@$(dais job get --field urn JOB)"\n'
    )
    @click.argument("subject", metavar=metavar, shell_complete=NAMES[kind])
    @click.argument("statements", metavar="STATEMENT...", nargs=-1, required=True)
    @with_output_of(Policy)
    @connected
    def new(client: Client, output: Output, subject: str, statements: tuple[str, ...]) -> None:
        output.one(client.policies.new(kind, _subject(client, kind, subject), statements), COLUMNS)

    @policy.command(
        help=f"List the policies that are attached to a {kind}.{own}\n\n"
        "Those that a user or team has through teams and roles are listed there."
        f"\n\n\b\nExample:\n  dais {kind} policy ls {example}\n"
    )
    @click.argument("subject", metavar=metavar, required=not optional, shell_complete=NAMES[kind])
    @with_output_of(Policy)
    @connected
    def ls(client: Client, output: Output, subject: str | None) -> None:
        found = _subject(client, kind, subject) if subject is not None else client.me().id
        output.many(Policy, client.policies.list(kind, found), COLUMNS)

    @policy.command(
        help=f"Take policies away, by their ids.\n\n\b\nExample:\n  dais {kind} policy rm "
        "0193a1b2-77c1-7d1e-9f00-3f1f2a5c8d10\n"
    )
    @click.argument("policies", metavar="POLICY...", nargs=-1, required=True)
    @connected
    def rm(client: Client, policies: tuple[str, ...]) -> None:
        for one in policies:
            client.policies.rm(one)

    return policy


def _subject(client: Client, kind: Subject, subject: str) -> str:
    return role_named(client, None, subject) if kind == "role" else subject
