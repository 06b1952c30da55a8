"""`dais registry`: where images come from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from dais.cli.base import LazyGroup, connected, note
from dais.cli.output import Output, with_output, with_output_of
from dais.wire.answers import Registry

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("host", "kind", "insecure", "username", "organization_id")

of_kind = click.option("--kind", type=click.Choice(["docker-v2", "harbor"]), help="What it speaks. [docker-v2]")
as_user = click.option("--username", metavar="NAME", help='Sign in as this user; "" signs in no more.')
by_stdin = click.option("--password-stdin", is_flag=True, help="Read the password, or token, from stdin.")
for_one = click.option("--organization", metavar="NAME", help='For this organization alone; "" is for all.')


@click.group(cls=LazyGroup)
def registry() -> None:
    """Name the registries of images, and who may use them (administrators).

    \b
    Examples:
      dais registry add hub.lab:5000
      dais registry allow acme hub.lab:5000
    """


@registry.command()
@click.argument("host", metavar="HOST[:PORT]")
@of_kind
@as_user
@by_stdin
@for_one
@click.option("--insecure", is_flag=True, help="It speaks plain HTTP.")
@with_output
@connected
def add(
    client: Client,
    output: Output,
    host: str,
    password_stdin: bool,
    kind: str | None,
    username: str | None,
    organization: str | None,
    insecure: bool,
) -> None:
    """Register one. The password is read from stdin, or asked for: an argument could be read by others.

    \b
    Examples:
      dais registry add hub.lab:5000
      pass show hub | dais registry add hub.lab --kind harbor --username robot --password-stdin
    """
    told = _given(kind=kind, username=username, organization=organization, insecure=insecure)
    if told.get("username"):
        told["password"] = _password(host, password_stdin)
    output.one(client.registries.add(host, **told), COLUMNS)


@registry.command("set")
@click.argument("host", metavar="HOST[:PORT]")
@of_kind
@as_user
@by_stdin
@for_one
@click.option("--insecure/--secure", default=None, help="Plain HTTP, or TLS.")
@with_output
@connected
def set_(
    client: Client,
    output: Output,
    host: str,
    password_stdin: bool,
    kind: str | None,
    username: str | None,
    organization: str | None,
    insecure: bool | None,
) -> None:
    """Change a registry, or its credentials.

    \b
    Example:
      pass show hub | dais registry set hub.lab --username robot --password-stdin
    """
    told = _given(kind=kind, username=username, organization=organization, insecure=insecure)
    if told.get("username") or password_stdin:
        told["password"] = _password(host, password_stdin)
    output.one(client.registries.set(host, **told), COLUMNS)


@registry.command()
@with_output_of(Registry)
@connected
def ls(client: Client, output: Output) -> None:
    """List the registries.

    \b
    Example:
      dais registry ls
    """
    output.many(Registry, client.registries.list(), COLUMNS)


@registry.command()
@click.argument("hosts", metavar="HOST[:PORT]...", nargs=-1, required=True)
@connected
def rm(client: Client, hosts: tuple[str, ...]) -> None:
    """Forget registries and their credentials; images of theirs that are there stay.

    \b
    Example:
      dais registry rm hub.lab:5000
    """
    for host in hosts:
        client.registries.rm(host)


@registry.command()
@click.argument("host", metavar="HOST[:PORT]")
@with_output
@connected
def test(client: Client, output: Output, host: str) -> None:
    """Ask whether a registry answers, and takes the name and the password that it was registered with.

    \b
    Example:
      dais registry test hub.lab:5000
    """
    found = client.registries.check(host)
    if output.for_people:
        note(f"{found.host} lets in {found.username or 'everybody'}")
    else:
        output.one(found, ("host", "username"))


@registry.command()
@click.argument("host", metavar="HOST[:PORT]")
@click.option("--group", metavar="GROUP", help="The resource group. [default: the only one with images]")
@click.option("--match", metavar="PATTERN", default="", help="Repositories like this alone: ml/*.")
@with_output
@connected
def rescan(client: Client, output: Output, host: str, group: str | None, match: str) -> None:
    """Enter what a registry has into the catalogue, for everybody. Nothing is fetched.

    What has gone from the registry is told, and stays in the catalogue.

    \b
    Examples:
      dais registry rescan hub.lab:5000
      dais registry rescan hub.lab --match 'ml/*'
    """
    output.one(client.registries.rescan(host, group=group, match=match), ("new", "seen", "gone"))


@registry.command()
@click.argument("organization", metavar="ORGANIZATION")
@with_output
@connected
def allowed(client: Client, output: Output, organization: str) -> None:
    """Show which registries an organization may use.

    \b
    Example:
      dais registry allowed acme
    """
    output.one(client.registries.allowed(organization), ("organization", "own", "usable"))


@registry.command()
@click.argument("organization", metavar="ORGANIZATION")
@click.argument("hosts", metavar="[HOST[:PORT]]...", nargs=-1)
@with_output
@connected
def allow(client: Client, output: Output, organization: str, hosts: tuple[str, ...]) -> None:
    """Let an organization use these registries and no others; without any, all that are registered for it.

    \b
    Examples:
      dais registry allow acme hub.lab:5000 docker.io
      dais registry allow acme
    """
    output.one(client.registries.allow(organization, hosts), ("organization", "own", "usable"))


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _password(host: str, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.read().removesuffix("\n").removesuffix("\r")
    typed: str = click.prompt(f"Password for {host}", hide_input=True, err=True)
    return typed
