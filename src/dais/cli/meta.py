"""`dais meta` and `dais find`: tags and key-values on anything, and what they find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected, note
from dais.cli.output import Output, with_output_of
from dais.wire.meta import Condition, Counted, Meta, Value
from dais.wire.query import SHORT, QueryError, parse_key, parse_query, parse_value

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("kind", "ref", "tags", "values")
FOUND = ("ref", "created_by", "created_at", "tags", "values")

KIND = click.Choice(tuple(SHORT))

PATIENCE = 30.0


@click.group(cls=LazyGroup)
def meta() -> None:
    """Tag files, file sets, folders, jobs, images and users, and give them key-values.

    Each version of a file or file set has its own; without a number the latest is meant. `dais find` looks for them.

    \b
    Examples:
      dais meta set fileset texts:2 model=cnn accuracy=0.97 --tag best
      dais meta get fileset texts:2
      dais meta rm fileset texts:2 accuracy --tag best
    """


@meta.command()
@click.argument("kind", metavar="KIND", type=KIND)
@click.argument("refs", metavar="REF...", nargs=-1, required=True)
@with_output_of(Meta)
@connected
def get(client: Client, output: Output, kind: str, refs: tuple[str, ...]) -> None:
    """Show tags and key-values; with --json also what things tell of themselves: size, version, who made them.

    KIND is file, fileset, folder, job, image (GROUP/NAME) or user.

    \b
    Examples:
      dais meta get file /data/a.txt /data/b.txt:3
      dais meta get job last --json
    """
    output.many(Meta, client.meta.get_many(kind, refs), COLUMNS)


@meta.command("set")
@click.argument("kind", metavar="KIND", type=KIND)
@click.argument("ref", metavar="REF")
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--tag", "-t", "tags", multiple=True, metavar="TAG", help="Add this tag; may be given several times.")
@with_output_of(Meta)
@connected
def set_(client: Client, output: Output, kind: str, ref: str, pairs: tuple[str, ...], tags: tuple[str, ...]) -> None:
    """Set key-values and add tags; others stay.

    A value is a number (0.97, 10MiB), true or false, a date or instant (2026-01-31, 2026-01-31T12:00:00Z), else a text;
    in quotes it is a text in any case: 'build="42"'.

    \b
    Examples:
      dais meta set fileset texts:2 model=cnn accuracy=0.97 --tag best
      dais meta set job 12 'note=with the old images' reviewed=true
    """
    if not pairs and not tags:
        raise click.UsageError("name what to set: KEY=VALUE, or --tag TAG")
    values: dict[str, Value] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise click.UsageError(f"{pair!r} is no KEY=VALUE; a tag is added with --tag {pair}")
        values[parse_key(key, "")] = parse_value(text)
    output.one(client.meta.set(kind, ref, values, tags=tags), COLUMNS)


@meta.command()
@click.argument("kind", metavar="KIND", type=KIND)
@click.argument("ref", metavar="REF")
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option("--tag", "-t", "tags", multiple=True, metavar="TAG", help="Remove this tag; may be given several times.")
@connected
def rm(client: Client, kind: str, ref: str, keys: tuple[str, ...], tags: tuple[str, ...]) -> None:
    """Remove keys with their values, and tags; what is not there is no error.

    \b
    Example:
      dais meta rm fileset texts:2 accuracy --tag best
    """
    if not keys and not tags:
        raise click.UsageError("name what to remove: a KEY, or --tag TAG")
    gone = client.meta.rm(kind, ref, keys=keys, tags=tags)
    note(
        f"removed {gone.keys} {'key' if gone.keys == 1 else 'keys'}, {gone.tags} {'tag' if gone.tags == 1 else 'tags'}"
    )


@click.command()
@click.argument("kind", metavar="KIND", type=KIND)
@click.argument("conditions", metavar="[CONDITION]...", nargs=-1)
@click.option("--sort", "order", metavar="KEY", help="Sort by this key, upward; -KEY downward. Else the newest first.")
@click.option("--limit", "-n", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@click.option("--count", "only_count", is_flag=True, help="Tell how many there are instead, up to a million.")
@with_output_of(Meta)
@connected
def find(
    client: Client,
    output: Output,
    kind: str,
    conditions: tuple[str, ...],
    order: str | None,
    limit: int,
    only_count: bool,
) -> None:
    """Find files, file sets, folders, jobs, images or users by tags, key-values, and what they tell of themselves.

    \b
    A CONDITION, all of which must hold:
      model=cnn  accuracy>=0.9  model!=cnn      = != < <= > >=
      'model~^(cnn|rnn)'                        a regular expression is found in it
      'accuracy in 0.5..0.9'                    above the first, up to the second
      'max(accuracy)'  'min(loss)'              the largest, the smallest of what is found
      'has(model)'  'no(model)'                 the key is there, or not
      '#best'                                   a tag
      '(model=cnn or #best)'                    one of several
    size, version, path, created, creator (and of jobs state, image, cpu, mem, gpu, duration, …) are what things tell of
    themselves; a key of yours with such a name is written in quotes: '"size"=3'.

    \b
    Examples:
      dais find fileset model=cnn 'max(accuracy)'
      dais find file 'size>10MiB' 'path~[.]csv$' --sort -size --limit 10
      dais find job state=FAILED 'created>2026-01-31' --json
    """
    client.patience = PATIENCE
    where = _conditions(conditions, kind)
    if only_count:
        found = Counted(count=client.meta.count(kind, *where))
        if output.for_people:
            click.echo(f"{found.count}")
        else:
            output.one(found, ("count",))
        return
    listed = client.find(kind, *where, order=order, limit=limit)
    if not output.for_people:
        output.many(Meta, listed, FOUND)
        return
    rows = list(listed)
    output.many(Meta, rows, FOUND)
    if len(rows) == limit:
        note(f"there may be more than these {limit:,}: --count tells how many, --limit shows more")


def _conditions(texts: tuple[str, ...], kind: str) -> tuple[Condition, ...]:
    try:
        return parse_query(texts, kind)
    except QueryError as error:
        raise click.UsageError(str(error)) from error
