"""`dais notify`: who is told when your jobs end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected, note
from dais.cli.output import Output, with_output_of
from dais.wire.answers import Notify, SigningSecret

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("targets", "signed")


@click.group(cls=LazyGroup)
def notify() -> None:
    """Tell people and programs when your jobs end.

    A target is `https://…` (a webhook) or `mail:ADDRESS`. A job's own --notify wins over your default.

    \b
    Examples:
      dais notify set mail:ann@example.org
      dais run --notify https://hooks.example.org/dais -- python train.py
    """


@notify.command()
@with_output_of(Notify)
@connected
def show(client: Client, output: Output) -> None:
    """Show who is told of your jobs that name nobody.

    \b
    Example:
      dais notify show
    """
    output.one(client.notify.get(), COLUMNS)


@notify.command("set")
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@with_output_of(Notify)
@connected
def set_(client: Client, output: Output, targets: tuple[str, ...]) -> None:
    """Set who is told of your jobs that name nobody; `none` for nobody.

    \b
    Examples:
      dais notify set mail:ann@example.org https://hooks.example.org/dais
      dais notify set none
    """
    output.one(client.notify.set([target for target in targets if target != "none"]), COLUMNS)


@notify.command()
@with_output_of(SigningSecret)
@connected
def secret(client: Client, output: Output) -> None:
    """Make a key that your webhooks are signed with, and show it this once.

    It takes the place of the one before at once. The receiver checks `webhook-signature` with it.

    \b
    Examples:
      dais notify secret
      dais notify secret --field secret > key
    """
    made = client.notify.new_secret()
    if output.for_people:
        click.echo(made.secret)
        note("give it to your receiver now: it is not shown again")
    else:
        output.one(made, ("secret",))
