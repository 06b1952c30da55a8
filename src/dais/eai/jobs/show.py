"""`eai job ls`, `get` and `info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from dais.cli.base import chosen, connected, note
from dais.cli.jobs.references import one_job
from dais.cli.jobs.show import MOST, instant
from dais.cli.output import Output, with_output_of
from dais.eai.jobs.submit import COLUMNS
from dais.wire.eai import PORT, Job, Tag, job_document, select_states, shown_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dais.sdk.client import Client
    from dais.wire import answers


@click.command()
@click.option("--me", "--mine", is_flag=True, help="Only yours; this is so unless --account is given.")
@click.option("--state", metavar="STATES", help="States joined by commas, `alive` or `all`.")
@click.option("-N", "--name", metavar="NAME", help="Jobs of this name.")
@click.option("-c", "--command", metavar="TEXT", help="Jobs with this in their command.")
@click.option("--tag", metavar="KEY[=VALUE]", multiple=True, help="Jobs with this tag. Repeatable: with all of them.")
@click.option("--since", metavar="TIME", help="Made since then: 2h, 7d, or 2026-11-22T09:30:00Z. [default: 24h]")
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@click.option("-r", "--reverse", is_flag=True, help="The oldest first.")
@with_output_of(Job)
@connected
def ls(
    client: Client,
    output: Output,
    me: bool,
    state: str | None,
    name: str | None,
    command: str | None,
    tag: tuple[str, ...],
    since: str | None,
    limit: int | None,
    reverse: bool,
) -> None:
    """List jobs: yours of the last 24 hours, unless you ask for others.

    \b
    Examples:
      eai job ls
      eai job ls --account acme.lab --state alive
      eai job ls --state FAILED --fields id,name,runs.exitCode --format json
    """
    asked, meant = _states(state)
    if since is None and not (state or name or tag):
        since = "24h"
    account = chosen().account
    found = client.jobs.list(
        me=me or not account,
        account=account,
        state=asked or None,
        name=name,
        tag=tag[0] if tag else None,
        since=instant(since) if since else None,
        oldest_first=reverse,
        limit=limit if meant is None and not command and not tag[1:] and limit else None,
    )
    wanted = Wanted(states=meant, command=command, tags=tag[1:])
    jobs = list(_some(found, wanted, limit or MOST + 1))
    if limit is None and len(jobs) > MOST:
        note(f"there are more than {MOST}; ask for more with -n, or for fewer with --since and --state")
        jobs = jobs[:MOST]
    output.many(Job, jobs, COLUMNS)


@click.command()
@one_job
@with_output_of(Job)
@connected
def get(client: Client, output: Output, ref: str) -> None:
    """Print a job as one row, or fields of it.

    \b
    Examples:
      eai job get --last
      eai job get --field urn 0193a1b2-77c1-7d1e-9f00-3f1f2a5c8d10
    """
    output.one(shown_job(client.jobs.get(ref)), COLUMNS)


@click.command()
@one_job
@click.option("--job-spec", is_flag=True, help="Only the specification, which `eai job new -f` reads.")
@with_output_of(Job)
@connected
def info(client: Client, output: Output, ref: str, job_spec: bool) -> None:
    """Print all that is known of a job, as YAML.

    \b
    Examples:
      eai job info --last
      eai job info --last --job-spec > job.yml
      eai job info --last --field accessUrl
    """
    from dais.sdk.documents import dump_document

    job = client.jobs.get(ref)
    if job_spec:
        click.echo(dump_document(job_document(job.spec)), nl=False)
    elif output.for_people:
        click.echo(dump_document(_known(msgspec.to_builtins(_reached(client, job)))), nl=False)
    else:
        output.one(_reached(client, job), COLUMNS)


def _reached(client: Client, job: answers.JobDetail) -> Job:
    """The job, with the address of its port 8080 while it runs."""
    from dais.sdk.errors import DaisError

    try:
        url = client.jobs.address(job.id, PORT).url if job.state == "RUNNING" else None
    except DaisError:  # it has just ended, or this server reaches no apps
        url = None
    return shown_job(job, url)


def _states(text: str | None) -> tuple[list[str], set[str] | None]:
    if not text:
        return [], None
    try:
        return select_states([part for part in text.split(",") if part.strip()])
    except ValueError as error:
        raise click.UsageError(f"--state: {error}") from error


class Wanted(NamedTuple):
    """What the server is not asked for: states (None: all), a text in the command, more tags."""

    states: set[str] | None
    command: str | None
    tags: tuple[str, ...]

    def means(self, job: Job) -> bool:
        return (
            (self.states is None or job.state in self.states)
            and (self.command is None or self.command in " ".join(job.command))
            and all(any(_tagged(one, tag) for one in job.tags) for tag in self.tags)
        )


def _tagged(tag: Tag, wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return tag.key == key and (not equals or tag.value == value)


def _some(jobs: Iterator[answers.Job], wanted: Wanted, limit: int) -> Iterator[Job]:
    for job in jobs:
        if limit <= 0:
            return
        shown = shown_job(job)
        if wanted.means(shown):
            limit -= 1
            yield shown


def _known(document: dict[str, Any]) -> dict[str, Any]:
    runs = [{key: value for key, value in run.items() if value is not None} for run in document.pop("runs")]
    return {key: value for key, value in document.items() if value is not None} | {"runs": runs}
