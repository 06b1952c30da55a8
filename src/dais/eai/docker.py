"""`eai docker`: what can be said of registries. Dais keeps none of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected, note
from dais.sdk.errors import Invalid

if TYPE_CHECKING:
    from dais.sdk.client import Client


@click.group()
def docker() -> None:
    """Tell which registries images come from.

    Dais has no registry of its own: images come from those that its administrators name, and `dais image build` makes
    them without one.

    \b
    Example:
      docker build -t $(eai docker get-registry)/me/image .
    """


@docker.command("get-registry")
@click.option("--volatile", is_flag=True, help="One whose images go by themselves: there is none.")
@connected
def get_registry(client: Client, volatile: bool) -> None:
    """Print the registry that your jobs may take images from; of several the first.

    \b
    Example:
      eai docker get-registry
    """
    if volatile:
        raise click.UsageError(
            "--volatile: no registry here deletes images by itself; push with a tag that you delete yourself"
        )
    click.echo(_registry(client))


@docker.command("get-login")
@connected
def get_login(client: Client) -> None:
    """Print the command that signs Docker in to that registry; Docker asks for its password, which Dais never tells.

    \b
    Example:
      $(eai docker get-login)
    """
    click.echo(f"docker login {_registry(client)}")


def _registry(client: Client) -> str:
    found = client.registries.allowed(client.me().organization)
    usable = found.own or found.usable
    if not usable:
        raise Invalid(
            "no registry is named here that your jobs may take images from",
            code="no-registry",
            hint="an administrator names one: dais registry add HOST; dais registry allow ORGANIZATION HOST",
        )
    if len(usable) > 1:
        note(f"there are also {', '.join(usable[1:])}")
    return usable[0]
