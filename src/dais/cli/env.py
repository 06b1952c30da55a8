"""`dais env`: cached Python environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected
from dais.cli.output import Output, with_output_of
from dais.wire.answers import Environment

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("id", "state", "interpreter", "size", "created", "last_used_at")


@click.group(cls=LazyGroup)
def env() -> None:
    """List, show and remove cached Python environments.

    An environment is built once for each content of the requirements, and shared read-only by jobs.

    \b
    Example:
      dais env ls
    """


@env.command()
@with_output_of(Environment)
@connected
def ls(client: Client, output: Output) -> None:
    """List the environments of your organization.

    \b
    Example:
      dais env ls --fields id,state,size
    """
    output.many(Environment, client.environments.list(), COLUMNS)


@env.command()
@click.argument("environment", metavar="ENVIRONMENT")
@click.option("--log", is_flag=True, help="Print what its builder said.")
@with_output_of(Environment)
@connected
def show(client: Client, output: Output, environment: str, log: bool) -> None:
    """Show an environment: its requirements, or with --log what its builder said.

    \b
    Examples:
      dais env show 0193a1b2-77c1-7d1e-9f00-3f1f2a5c8d10
      dais env show 0193a1b2-77c1-7d1e-9f00-3f1f2a5c8d10 --log
    """
    if log:
        click.echo(client.environments.log(environment).text, nl=False)
        return
    found = client.environments.get(environment)
    if not output.for_people:
        output.one(found, COLUMNS)
        return
    import msgspec

    from dais.sdk.documents import dump_document

    document = {name: value for name, value in msgspec.to_builtins(found).items() if value is not None}
    click.echo(dump_document(document), nl=False)


@env.command()
@click.argument("environments", metavar="ENVIRONMENT...", nargs=-1, required=True)
@connected
def rm(client: Client, environments: tuple[str, ...]) -> None:
    """Remove environments; a job that needs one builds it again.

    \b
    Example:
      dais env rm 0193a1b2-77c1-7d1e-9f00-3f1f2a5c8d10
    """
    for environment in environments:
        client.environments.rm(environment)
