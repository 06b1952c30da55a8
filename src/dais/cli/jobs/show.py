"""`dais job ls`, `get` and `info`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from dais.cli.base import chosen, connected, note
from dais.cli.jobs.references import one_job
from dais.cli.output import Output, with_output_of
from dais.wire.answers import Job, JobDetail

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("id", "state", "name", "created", "command", "runs.exitCode")
MOST = 1000
"""Rows that `ls` prints unless -n asks for more."""


@click.command()
@click.option("--me", is_flag=True, help="Only yours; the default unless --account, --owner or --everyone is given.")
@click.option("--everyone", is_flag=True, help="All that you may see.")
@click.option("--owner", metavar="USER", help="Those of this user.")
@click.option("--state", metavar="STATES", help="States joined by commas, `alive` or `all`.")
@click.option("-N", "--name", metavar="NAME", help="Jobs of this name.")
@click.option("--text", metavar="TEXT", help="Jobs with this in their name, in upper or lower case.")
@click.option(
    "--type",
    "kind",
    metavar="TYPE",
    help="Jobs of this type: batch, interactive, …; the installation's own, `system`, are listed by it alone.",
)
@click.option("--group", metavar="GROUP", help="Jobs of this resource group.")
@click.option("--tag", metavar="KEY[=VALUE]", help="Jobs with this tag.")
@click.option("--since", metavar="TIME", help="Made since then: 2h, 7d, or 2026-11-22T09:30:00Z. [default: 24h]")
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@click.option("-r", "--reverse", is_flag=True, help="The oldest first.")
@with_output_of(Job)
@connected
def ls(
    client: Client,
    output: Output,
    me: bool,
    everyone: bool,
    owner: str | None,
    state: str | None,
    name: str | None,
    text: str | None,
    kind: str | None,
    group: str | None,
    tag: str | None,
    since: str | None,
    limit: int | None,
    reverse: bool,
) -> None:
    """List jobs: yours of the last 24 hours, unless you ask for others.

    Jobs that are alive are listed however old they are; --state, --name, --text and --tag look at all times.

    \b
    Examples:
      dais job ls
      dais job ls --state alive --everyone
      dais job ls --owner ann --text resnet --since 7d
      dais job ls --state failed --fields id,name,reason,runs.exitCode --format csv
    """
    account = chosen().account
    if since is None and not (state or name or text or tag):
        since = "24h"
    jobs = client.jobs.list(
        me=me or not (account or everyone or owner),
        account=account,
        owner=owner,
        state=state,
        name=name,
        text=text,
        type=kind,
        group=group,
        tag=tag,
        since=instant(since) if since else None,
        oldest_first=reverse,
        limit=limit or MOST + 1,
    )
    found = list(jobs)
    if limit is None and len(found) > MOST:
        note(f"there are more than {MOST}; ask for more with -n, or for fewer with --since and --state")
        found = found[:MOST]
    if not found and output.for_people:
        note("no jobs here; `dais job ls --state all` looks at all times, `dais run -- COMMAND` makes one")
    output.many(Job, found, COLUMNS)


@click.command()
@one_job
@with_output_of(JobDetail)
@connected
def get(client: Client, output: Output, ref: str) -> None:
    """Print a job as one row, or fields of it.

    \b
    Examples:
      dais job get --last
      dais job get train --field state
      dais job get 42 --fields id,state,runs.exitCode --json
    """
    output.one(client.jobs.get(ref), COLUMNS)


@click.command()
@one_job
@click.option("--job-spec", is_flag=True, help="Only the specification, as YAML that `-f` reads.")
@with_output_of(JobDetail)
@connected
def info(client: Client, output: Output, ref: str, job_spec: bool) -> None:
    """Print all that is known of a job: spec, runs, history.

    \b
    Examples:
      dais job info --last
      dais job info 42 --job-spec > job.yml
      dais job info train --json
    """
    from dais.sdk.documents import dump, dump_document

    job = client.jobs.get(ref)
    if job_spec:
        click.echo(dump(job.spec), nl=False)
    elif output.for_people:
        click.echo(dump_document(_told(job)), nl=False)
    else:
        output.one(job, COLUMNS)


def instant(text: str) -> str:
    """An RFC 3339 time from one, from a date, or from how long ago."""
    if re.match(r"\d{4}-", text):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise click.UsageError(f"{text!r} is no time; write 2h, 7d, or 2026-11-22T09:30:00Z") from error
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    else:
        from dais.wire.units import parse_duration

        moment = datetime.now(UTC) - timedelta(seconds=parse_duration(text, "since"))
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _told(job: JobDetail) -> dict[str, Any]:
    """A job as YAML for people: what is not known is left out, sizes are human."""
    import msgspec

    from dais.wire.read import human
    from dais.wire.units import short_size

    document: dict[str, Any] = msgspec.to_builtins(job)
    document["spec"] = human(job.spec)
    for size in [document, *document["runs"]]:
        for name in ("mem", "memory_peak", "log_bytes"):
            if size.get(name) is not None:
                size[name] = short_size(size[name])
    repeated = {"command", "tags", "cpu", "mem", "gpu", "type", "account_id"}
    ordered = [name for name in document if name not in ("spec", "runs", "history")] + ["spec", "runs", "history"]
    return {
        name: _known(document[name]) for name in ordered if name not in repeated and document[name] not in (None, [])
    }


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _known(item) for key, item in value.items() if item is not None and item is not False and item != []
        }
    return [_known(item) for item in value] if isinstance(value, list) else value
