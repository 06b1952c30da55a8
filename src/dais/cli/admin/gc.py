"""`dais gc`."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from dais.cli.admin.place import config_option, data_dir_of, data_dir_option, platform, print_json
from dais.wire.units import short_size


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Tell what would become free, and remove nothing.")
@data_dir_option
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: freed (bytes) and dry_run.")
def gc(dry_run: bool, data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Free stored contents that nothing needs.

    That is: no version of a file, no job's source, no log; and trees of file sets that no job has read for an hour.

    The server does this by itself every few hours. What was written or asked for in the last 24 hours stays.

    \b
    Examples:
      dais gc --dry-run
      dais gc --json
    """
    with platform():
        from dais.app.contents import collect

        done = collect(data_dir_of(data_dir), config, dry_run=dry_run)
    if as_json:
        print_json(msgspec.to_builtins(done))
    else:
        click.echo(f"{short_size(done.freed)} {'would become' if dry_run else 'became'} free")
