"""`dais audit`: who did, or was refused, what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected
from dais.cli.jobs.show import instant
from dais.cli.output import Output, with_output_of
from dais.wire.rules import AuditEntry

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("at", "user", "allowed", "action", "urn", "address")


@click.group(cls=LazyGroup)
def audit() -> None:
    """Tell who did, or was refused, what to which thing, and from where.

    \b
    Example:
      dais audit ls --denied
    """


@audit.command()
@click.option("--user", metavar="USER", help="What this user did: a name, org.name or an id.")
@click.option("--action", metavar="ACTION", help="These actions, as job:exec or policy:*.")
@click.option("--urn", metavar="URN", help="With these things; * stands for anything, names may stand for ids.")
@click.option("--allowed/--denied", default=None, help="Only what was allowed, or what was refused.")
@click.option("--since", metavar="WHEN", help="From then on: 2026-05-01, an RFC 3339 time, or 2h, 7d ago.")
@click.option("--until", metavar="WHEN", help="Before then.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many.")
@with_output_of(AuditEntry)
@connected
def ls(
    client: Client,
    output: Output,
    user: str | None,
    action: str | None,
    urn: str | None,
    allowed: bool | None,
    since: str | None,
    until: str | None,
    limit: int,
) -> None:
    """List what was done and refused, the newest first. Plain reads are not written down.

    You see what you did; an organization's administrators what concerned its things, the installation's everything.

    \b
    Examples:
      dais audit ls --denied --since 7d
      dais audit ls --user joe --action 'policy:*' --json
      dais audit ls --urn 'acme:account:acme.lab:*' --since 2026-05-01 --until 2026-06-01
    """
    entries = client.audit.list(
        user=user,
        action=action,
        urn=urn,
        allowed=allowed,
        since=instant(since) if since else None,
        until=instant(until) if until else None,
        limit=limit,
    )
    output.many(AuditEntry, entries, COLUMNS)
