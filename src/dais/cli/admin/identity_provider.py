"""`dais admin identity-provider`: single sign-on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected, note
from dais.cli.output import Output, with_output_of
from dais.wire.identities import IdentityProvider

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("name", "issuer", "client_id", "organization", "creates_users", "domains")


@click.group(cls=LazyGroup)
def identity_provider() -> None:
    """Say with which OpenID providers people sign in.

    \b
    Examples:
      dais admin identity-provider new google --issuer https://accounts.google.com --client-id ID --domain example.org
      dais admin identity-provider ls
    """


@identity_provider.command()
@click.argument("name", metavar="NAME")
@click.option("--issuer", metavar="URL", required=True, help="The address that the provider calls itself by.")
@click.option("--client-id", metavar="ID", required=True, help="What the provider calls this installation.")
@click.option("--secret-file", metavar="FILE", type=click.Path(dir_okay=False), help="Take the secret from this file.")
@click.option("--no-secret", is_flag=True, help="The provider gave no secret: PKCE alone proves who asks.")
@click.option("--organization", metavar="ORG", help="Whose users its people are. [default: yours]")
@click.option("--label", metavar="TEXT", default="", help="What the button says. [default: the name]")
@click.option("--scopes", metavar="WORDS", default="openid email profile", show_default=True, help="What is asked for.")
@click.option("--create-users", is_flag=True, help="Make users of people who were never here.")
@click.option("--link-by-email", is_flag=True, help="Take people for the users who have their verified address.")
@click.option("--domain", "domains", metavar="DOMAIN", multiple=True, help="Let in only people of this e-mail domain.")
@click.option("--role", "roles", metavar="CLAIM=VALUE:ROLE", multiple=True, help="Members of a role by a claim.")
@click.option("--strong", is_flag=True, help="Its people have shown a second factor there: ask for none here.")
@click.option("--internal", is_flag=True, help="Its host may have an internal address, and plain http.")
@with_output_of(IdentityProvider)
@connected
def new(
    client: Client,
    output: Output,
    name: str,
    issuer: str,
    client_id: str,
    secret_file: str | None,
    no_secret: bool,
    organization: str | None,
    label: str,
    scopes: str,
    create_users: bool,
    link_by_email: bool,
    domains: tuple[str, ...],
    roles: tuple[str, ...],
    strong: bool,
    internal: bool,
) -> None:
    """Let people sign in with a provider.

    Register Dais there first, with the redirect URI that this prints (ADDRESS/sign-in/with/NAME/back). The client's
    secret is asked for without showing it, or read from stdin or a file; it is kept encrypted.

    Without --create-users and --link-by-email only people who are linked already get in.

    \b
    Examples:
      dais admin identity-provider new google --issuer https://accounts.google.com --client-id ID --domain example.org
      dais admin identity-provider new lab --issuer https://login.lab/realms/lab --client-id dais --secret-file FILE
    """
    made = client.identity_providers.new(
        name,
        issuer,
        client_id,
        None if no_secret else _secret(secret_file),
        organization=organization,
        label=label,
        scopes=scopes,
        creates_users=create_users,
        links_by_email=link_by_email,
        strong=strong,
        internal=internal,
        domains=domains,
        roles=roles,
    )
    if output.for_people:
        click.echo(made.redirect_uri)
        note(f"{made.label} is on the page where people sign in; the address above must be registered there")
    else:
        output.one(made, COLUMNS)


@identity_provider.command()
@with_output_of(IdentityProvider)
@connected
def ls(client: Client, output: Output) -> None:
    """List the providers, without secrets.

    \b
    Examples:
      dais admin identity-provider ls
      dais admin identity-provider ls --fields name,redirectUri
    """
    output.many(IdentityProvider, client.identity_providers.list(), COLUMNS)


@identity_provider.command()
@click.argument("name", metavar="NAME")
@connected
def rm(client: Client, name: str) -> None:
    """Let nobody sign in with a provider any more, and forget whom its people are here.

    \b
    Example:
      dais admin identity-provider rm google
    """
    client.identity_providers.rm(name)


def _secret(file: str | None) -> str:
    if file is not None:
        return Path(file).expanduser().read_text().strip()
    if sys.stdin.isatty():
        typed: str = click.prompt("The client's secret", hide_input=True, err=True)
        return typed.strip()
    return sys.stdin.readline().strip()
