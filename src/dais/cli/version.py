"""`dais version`."""

from __future__ import annotations

import json

import click

from dais.cli.base import open_client


@click.command()
@click.option("--json", "document", is_flag=True, help="Print one JSON document.")
def version(document: bool) -> None:
    """Print the versions of this client and of its server.

    \b
    Example:
      dais version
    """
    from dais import __version__
    from dais.sdk.errors import DaisError

    with open_client(patience=0.0) as client:
        url = client.access.url
        try:
            server, problem = client.version().version, ""
        except DaisError as error:
            server, problem = None, error.message
    if document:
        click.echo(json.dumps({"client": __version__, "server": server, "url": url}, indent=2))
    else:
        click.echo(f"client {__version__}")
        click.echo(f"server {server} at {url}" if server else f"server unknown: {problem}")
