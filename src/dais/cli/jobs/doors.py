"""`dais job address` and `dais job expose`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import connected, note
from dais.cli.output import Output, with_output_of
from dais.wire.answers import Exposed, JobAddress

if TYPE_CHECKING:
    from dais.sdk.client import Client


_last = click.option("--last", is_flag=True, help="Your newest job.")


def _job_and(words: tuple[str, ...], last: bool, what: str, default: str | None = None) -> tuple[str, str]:
    """A job (the newest with --last), and what follows it."""
    given = ("last", *words) if last else words
    if len(given) == 1 and default is not None:
        given = (*given, default)
    if len(given) != 2 or not all(given):
        raise click.UsageError(f"name a job (its id, number or name), or say --last; then {what}")
    return given[0], given[1]


@click.command()
@click.argument("words", metavar="JOB [PORT|APP]", nargs=-1)
@_last
@with_output_of(JobAddress)
@connected
def address(client: Client, output: Output, words: tuple[str, ...], last: bool) -> None:
    """Print the address at which a port or an app of a running job is reached.

    Browsers that are signed in to Dais open it; programs send a token that may `job:get` the job, as
    `Authorization: Bearer TOKEN`. The port is 8080 unless another is named.

    \b
    Examples:
      dais job address web
      dais job address --last 8888
      curl -H "Authorization: Bearer $TOKEN" "$(dais job address web --field url)"
    """
    ref, target = _job_and(words, last, "a port or an app", "8080")
    found = client.jobs.address(ref, target)
    if output.for_people:
        click.echo(found.url)
        return
    output.one(found, ("url", "target", "public"))


@click.command()
@click.argument("words", metavar="JOB PORT", nargs=-1)
@_last
@click.option("--private", is_flag=True, help="Close it again: only who may see the job reaches it.")
@with_output_of(Exposed)
@connected
def expose(client: Client, output: Output, words: tuple[str, ...], last: bool, private: bool) -> None:
    """Open a port of a job to everybody, without any token, or close it again.

    The port is a number, or the name that the job gives one.
    It stays so for later runs of the job. What listens there is told nothing of who comes.

    \b
    Examples:
      dais job expose demo 8080
      dais job expose demo web --private
    """
    ref, text = _job_and(words, last, "a port")
    port = int(text) if text.isdigit() else _named(client, ref, text)
    if not 0 < port < 1 << 16:
        raise click.UsageError(f"{text!r} is no port; there are 1 to 65535")
    found = client.jobs.expose(ref, port, public=not private)
    if not output.for_people:
        output.one(found, ("job", "ports", "url"))
        return
    if private:
        note(f"port {port} is closed to those who may not see the job")
    else:
        note(f"everybody reaches port {port} now")
        if found.url:
            click.echo(found.url)


def _named(client: Client, ref: str, name: str) -> int:
    """The port to which a job gives a name."""
    ports = {port.name: port.port for port in client.jobs.get(ref).spec.ports}
    if name not in ports:
        named = f"it names {', '.join(ports)}" if ports else "it names none"
        raise click.UsageError(f"job {ref} has no port {name!r}: {named}; any can be given by its number, 1 to 65535")
    return ports[name]
