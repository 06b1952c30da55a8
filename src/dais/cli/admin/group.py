"""The table of commands below `dais admin`."""

from __future__ import annotations

import click

from dais.cli.base import Entry, LazyGroup

COMMANDS = {
    "identity-provider": Entry(
        "dais.cli.admin.identity_provider:identity_provider", "Say with which OpenID providers people sign in."
    ),
    "migrate-to": Entry("dais.cli.admin.migrate:migrate_to", "Move this installation's rows into another database."),
    "reset": Entry(
        "dais.cli.admin.reset:reset",
        "Let somebody back in who has lost what they sign in with.",
    ),
    "systemd": Entry("dais.cli.admin.systemd:systemd", "Print a unit for systemd, or install it."),
}


@click.group(cls=LazyGroup, entries=COMMANDS)
def admin() -> None:
    """Look after this installation.

    \b
    Examples:
      dais admin migrate-to postgresql://dais@localhost/dais
      dais admin reset joe@example.org
      dais admin systemd --install
    """
