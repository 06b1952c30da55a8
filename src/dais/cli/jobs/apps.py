"""`dais job apps` and `dais job open`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected, note
from dais.cli.jobs.references import one_job
from dais.cli.output import Output, with_output_of
from dais.wire.app_answers import JobApp, OpenedApp

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("name", "state", "port", "protocol", "action", "detail")


@click.command()
@one_job
@with_output_of(JobApp)
@connected
def apps(client: Client, output: Output, ref: str) -> None:
    """List the apps of a running job.

    They are its own ports, what its image offers, and what is built in.

    \b
    Examples:
      dais job apps --last
      dais job apps train --json
    """
    output.many(JobApp, client.jobs.apps(ref).apps, COLUMNS)


@click.command("open")
@click.argument("words", metavar="JOB [APP|PORT]", nargs=-1)
@click.option("--last", is_flag=True, help="Your newest job.")
@click.option("--no-browser", "--print", "no_browser", is_flag=True, help="Print the address and open nothing.")
@with_output_of(OpenedApp)
@connected
def open_app(client: Client, output: Output, words: tuple[str, ...], last: bool, no_browser: bool) -> None:
    """Start an app of a running job, and open it in the browser.

    One that runs is not started again.

    The app is `jupyter` unless another, or a port, is named. Where there is no browser the address is printed.

    \b
    Examples:
      dais job open --last
      dais job open train tensorboard --no-browser
      dais job open train 8080
    """
    given = ("last", *words) if last else words
    if not given or len(given) > 2 or not all(given):
        raise click.UsageError("name a job, or say --last; then an app or a port")
    opened = client.jobs.open_app(given[0], given[1] if len(given) == 2 else "jupyter")
    if not output.for_people:
        output.one(opened, ("name", "port", "url"))
        return
    if opened.url is None:
        note(
            f"{opened.name} answers on port {opened.port} of the job, which is no page: "
            f"dais job port-forward {given[0]} {opened.port}"
        )
        return
    click.echo(opened.url)
    from dais.cli.open import has_browser

    if not no_browser and has_browser():
        import webbrowser

        webbrowser.open(opened.url)
