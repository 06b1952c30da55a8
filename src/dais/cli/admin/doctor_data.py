"""`dais doctor data`: stored contents, read again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from dais.cli.admin.place import data_dir_of, platform, print_json
from dais.cli.progress import bar
from dais.wire.units import short_size

if TYPE_CHECKING:
    from dais.app.contents import Contents

UNSOUND = 1
"""Exit code when something that is needed cannot be read."""

SHOWN = 20


def examine_data(data_dir: Path | None, config: Path | None, *, discard: bool, as_json: bool) -> int:
    """Read every stored content again and print what is wrong; the exit code."""
    with platform(), bar("reading", not as_json) as show:
        from dais.app.contents import examine

        def tell(contents: int, size: int) -> None:
            if show is not None:
                show(1, 2, f"{contents:,} contents, {short_size(size)}")

        found = examine(data_dir_of(data_dir), config, tell, discard=discard)
    if as_json:
        print_json({**msgspec.to_builtins(found), "sound": found.sound})
    else:
        click.echo(_page(found))
    return 0 if found.sound else UNSOUND


def _page(found: Contents) -> str:
    read = f"{found.contents:,} contents read ({short_size(found.size)})"
    if found.sound:
        return f"{click.style('✓', fg='green')} {read}, all are well; of every file set it is known what made it"
    lines = [f"{click.style('✕', fg='red')} {read}: {len(found.damaged):,} damaged, {len(found.missing):,} missing"]
    lines += [f"  {one.problem}: {one.file}" for one in found.files[:SHOWN]]
    if len(found.files) > SHOWN:
        lines.append(f"  and {len(found.files) - SHOWN:,} more versions of files; --json lists them")
    if not found.files:
        lines += [f"  {digest}" for digest in [*found.damaged, *found.missing][:SHOWN]]
    lines += [f"  {one}" for one in found.parents[:SHOWN]]
    if found.parents and not (found.damaged or found.missing):
        lines.append("  the database lost what a job wrote down: restore it from a backup, or make these sets again")
    if found.damaged:
        lines.append("  take damaged contents away with --discard")
    if found.damaged or found.missing:
        lines.append("  then upload these files again, or restore them from a backup")
    return "\n".join(lines)
