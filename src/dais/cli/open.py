"""`dais open`: the web pages, signed in."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from dais.cli.base import connected, note

if TYPE_CHECKING:
    from dais.sdk.client import Client


@click.command("open")
@click.option("--print", "--no-browser", "only_print", is_flag=True, help="Print the link and open nothing.")
@connected
def open_pages(client: Client, only_print: bool) -> None:
    """Open the web pages in the browser, signed in.

    Makes a link that signs you in once, within 15 minutes, and opens it. Where there is no browser the link is
    printed: open it wherever you like, and show it to nobody.

    \b
    Examples:
      dais open            open the pages
      dais open --print    print the link, to open it elsewhere
    """
    link = client.sign_in_link()
    address = client.access.url.rstrip("/") + link.path
    if only_print or not has_browser():
        click.echo(address)
        note(f"the link works once, within {link.seconds // 60} minutes")
        return
    import webbrowser

    if webbrowser.open(address):
        note("opened in the browser; `dais open --print` prints the link instead")
    else:
        click.echo(address)
        note(f"no browser could be started; the link works once, within {link.seconds // 60} minutes")


def has_browser() -> bool:
    """Whether this terminal belongs to a desktop."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
