"""`dais backup` and `dais restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from dais.cli.admin.place import config_option, data_dir_of, data_dir_option, platform, print_json
from dais.cli.base import note
from dais.cli.problems import complain, harmless
from dais.cli.progress import transfer_bar

if TYPE_CHECKING:
    from dais.app.backup import Made, Restored, Verified

SHOWN = 10
DAMAGED = 1


@click.command("backup")
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@data_dir_option
@config_option
@click.option("--keep", type=click.IntRange(1), metavar="N", help="Afterwards remove all but the N newest snapshots.")
@click.option("--verify", "only_verify", is_flag=True, help="Make none; read every content of DEST and check it.")
@click.option("--list", "only_list", is_flag=True, help="Make none; list the snapshots in DEST.")
@click.option("--at", metavar="NAME", help="With --verify: this snapshot alone.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: what was made, or found.")
def backup(
    destination: Path,
    data_dir: Path | None,
    config: Path | None,
    keep: int | None,
    only_verify: bool,
    only_list: bool,
    at: str | None,
    as_json: bool,
) -> int:
    """Copy this installation into a directory, also while it runs.

    DEST holds any number of snapshots; what has not changed since is stored once. A snapshot has the database, the
    folders, the blobs (sources, logs), the logs of live runs, and the settings and keys in the data directory; not the
    environments, which are built again. Run it as the user that runs Dais, or as root.

    \b
    Examples:
      dais backup /backup/dais
      dais backup /backup/dais --keep 14
      dais backup /backup/dais --verify
    """
    if at is not None and not only_verify:
        raise click.UsageError("--at belongs to --verify")
    destination = destination.expanduser().absolute()
    with platform():
        from dais.app.backup import BackupOptions, snapshots, verify
        from dais.app.backup import backup as make

        if only_list:
            return _list([(found.name, found.manifest) for found in snapshots(destination)], as_json)
        with transfer_bar("verify" if only_verify else "backup") as progress:
            if only_verify:
                verified = verify(destination, at, progress)
            else:
                options = BackupOptions(
                    data_dir=data_dir_of(data_dir), destination=destination, config=config, keep=keep
                )
                made = make(options, progress)
    if only_verify:
        return _tell_verified(verified, as_json)
    return _tell_made(made, as_json)


@click.command("restore")
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@data_dir_option
@config_option
@click.option("--at", metavar="NAME", help="The snapshot to restore (default: the newest; `dais backup SRC --list`).")
@click.option("--force", is_flag=True, help="Move what is in the data directory aside, into replaced-… within it.")
@click.option("--cancel-waiting", is_flag=True, help="Cancel the jobs that waited in the queue.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: what was restored.")
def restore(
    source: Path,
    data_dir: Path | None,
    config: Path | None,
    at: str | None,
    force: bool,
    cancel_waiting: bool,
    as_json: bool,
) -> None:
    """Make an installation of a backup, in an empty data directory.

    No server may run on that directory; another one may. Every content is checked, and the schema brought to this
    version's. Jobs that were running end as node-lost, or wait again if they are restartable. Jobs that waited will run
    once you start Dais: say --cancel-waiting where the installation that was copied has gone on with them.

    \b
    Examples:
      dais restore /backup/dais
      dais restore /backup/dais --data-dir ./restored --at 20260131T020000Z
      dais restore /backup/dais --force
    """
    with platform():
        from dais.app.backup import RestoreOptions
        from dais.app.backup import restore as bring_back

        options = RestoreOptions(
            source=source.expanduser().absolute(),
            data_dir=data_dir_of(data_dir),
            at=at,
            config=config,
            force=force,
            cancel_waiting=cancel_waiting,
        )
        with transfer_bar("restore") as progress:
            restored = bring_back(options, progress)
    _tell_restored(restored, as_json)


def _tell_made(made: Made, as_json: bool) -> int:
    if as_json:
        print_json(made)
        return 0
    from dais.wire.units import short_size

    click.echo(
        f"snapshot {made.name}: {made.files:,} files, {short_size(made.bytes)}; read anew: {made.copied:,} "
        f"({short_size(made.copied_bytes)}); {made.seconds:.1f} s\n  in {made.directory}"
    )
    if made.removed:
        click.echo(f"  removed {', '.join(made.removed)}")
    if made.secrets:
        note(f"it holds secrets of the installation ({', '.join(made.secrets)}): whoever has it can read them")
    _tell_notes(made.notes)
    return 0


def _tell_verified(verified: Verified, as_json: bool) -> int:
    if as_json:
        print_json(verified)
    else:
        from dais.wire.units import short_size

        click.echo(
            f"{len(verified.snapshots)} snapshot{'s' if len(verified.snapshots) != 1 else ''}, "
            f"{verified.contents:,} contents, {short_size(verified.bytes)} read: "
            + (f"{len(verified.damaged)} damaged" if verified.damaged else "all sound")
        )
        if verified.interrupted:
            note(f"interrupted, and no backup: {', '.join(verified.interrupted)}; the next backup removes it")
        for line in verified.damaged[:SHOWN]:
            complain(line)
        if len(verified.damaged) > SHOWN:
            note(f"{len(verified.damaged) - SHOWN:,} more; --json lists all")
    return DAMAGED if verified.damaged else 0


def _tell_restored(restored: Restored, as_json: bool) -> None:
    if as_json:
        print_json(restored)
        return
    from dais.wire.units import short_size

    jobs = restored.jobs
    click.echo(
        f"restored {restored.snapshot} into {restored.data_dir}: {restored.files:,} files, {short_size(restored.bytes)}"
    )
    counts = {
        "jobs that were running and ended as node-lost": jobs.lost,
        "restartable jobs that were running and wait again": jobs.queued_again,
        "jobs that waited and were cancelled": jobs.cancelled,
        "jobs that wait and will run when you start it": jobs.waiting - jobs.queued_again,
    }
    for words, count in counts.items():
        if count:
            click.echo(f"  {words}: {count:,}")
    if restored.replaced:
        click.echo(f"  what was there before is in {restored.replaced}")
    _tell_notes(restored.notes)
    click.echo("start it with `dais up`")


def _tell_notes(notes: list[str]) -> None:
    for line in notes[:SHOWN]:
        note(harmless(line))
    if len(notes) > SHOWN:
        note(f"{len(notes) - SHOWN:,} more; --json lists all")


def _list(found: list[tuple[str, msgspec.Struct]], as_json: bool) -> int:
    if as_json:
        print_json([{"name": name} | msgspec.structs.asdict(manifest) for name, manifest in found])
        return 0
    from dais.wire.units import short_size

    for name, manifest in found:
        fields = msgspec.structs.asdict(manifest)
        click.echo(f"{name}  {fields['files']:>9,} files  {short_size(fields['bytes']):>8}  Dais {fields['version']}")
    return 0
