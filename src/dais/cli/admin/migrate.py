"""`dais admin migrate-to`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dais.cli.admin.place import config_option, data_dir_of, data_dir_option, platform, print_json
from dais.cli.progress import Show, bar

if TYPE_CHECKING:
    from dais.app.migrate import Migrated, OnMoved


@click.command("migrate-to")
@click.argument("target", metavar="URL")
@data_dir_option
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: each table's rows and hash.")
def migrate_to(target: str, data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Move this installation's rows into another database.

    URL names an empty database: postgresql://USER@HOST/NAME, or sqlite:///FILE for the way back. Dais must be stopped;
    jobs go on. All rows are copied in one transaction, read again, and compared by count and hash before they are kept;
    the old database stays as it is. Files stay where they are. Then tell Dais to use the new one, as is printed.

    \b
    Examples:
      dais admin migrate-to postgresql://dais@localhost/dais
      dais admin migrate-to sqlite:////home/dais/dais.db --json
    """
    directory = data_dir_of(data_dir)
    with platform():
        from dais.app.migrate import migrate_to as move

        with bar("rows") as show:
            tell = _teller(show)
            done = move(directory, target, config, tell)
    if as_json:
        print_json(done)
    else:
        _tell(done, directory)


def _tell(done: Migrated, directory: Path) -> None:
    for table in done.tables:
        click.echo(f"{table.rows:>12,}  {table.name:<20}  {table.digest[:16]}…")
    rate = done.rows / max(done.seconds, 0.001)
    click.echo(
        f"{done.rows:,} rows moved to {done.target} in {done.seconds:.1f} s ({rate:,.0f} rows/s); "
        "count and hash of every table are the same on both sides"
    )
    click.echo(
        f"\nThe server uses it once you say so, in {directory}/dais.toml (or with DAIS_DATABASE_URL):\n\n"
        f'  [database]\n  url = "{done.target}"\n\n'
        f"then `dais up`. The old database, {done.source}, is as it was; remove it when you are content."
    )


def _teller(show: Show | None) -> OnMoved | None:
    if show is None:
        return None
    return lambda now: show(now.rows, now.total, f"{now.table}  {now.rows:,} of {now.total:,} rows")
