"""`dais doctor`."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from dais.cli.admin.doctor_data import examine_data
from dais.cli.admin.place import data_dir_of, data_dir_option, platform_missing
from dais.cli.findings import finding_lines
from dais.cli.problems import complain

if TYPE_CHECKING:
    from dais.app.doctor import Report

UNSOUND = 1
"""Exit code when something matters that is not as it should be."""


@click.command("doctor")
@click.argument("what", type=click.Choice(["data"]), metavar="[data]", required=False)
@data_dir_option
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE", help="The dais.toml with the settings (DAIS_CONFIG)."
)
@click.option("--discard", is_flag=True, help="With data: take damaged contents away, so that they can be sent again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: level, sound, and every finding.")
def doctor(what: str | None, data_dir: Path | None, config: Path | None, discard: bool, as_json: bool) -> int:
    """Tell what this machine can isolate and do, what follows, and how to mend it.

    Before the first `dais up` it tries everything itself; later it asks what the running supervisor has found. The
    exit code is 0 when jobs are isolated and bounded, 1 when something is marked ✕.

    With `data` it reads every stored content again instead, and names what is damaged or missing, and the versions of
    files that suffer. With --discard what is damaged is taken away; uploading these files again mends them.

    \b
    Examples:
      dais doctor
      dais doctor --json
      dais doctor data
    """
    if what == "data":
        return examine_data(data_dir, config, discard=discard, as_json=as_json)
    if discard:
        raise click.UsageError("--discard goes with `dais doctor data`")
    try:
        from dais.app import DaisError
        from dais.app.doctor import examine
    except ModuleNotFoundError as error:
        platform_missing(error)
    try:
        report = examine(data_dir_of(data_dir), config.absolute() if config is not None else None)
    except DaisError as error:
        complain(error.message)
        return UNSOUND
    click.echo(msgspec.json.format(msgspec.json.encode(report)).decode() if as_json else _page(report))
    return 0 if report.sound else UNSOUND


def _page(report: Report) -> str:
    """Everything for people: the level first, then a section for each kind of finding."""
    colour = "red" if report.level == "process" else "green"
    how = "as the running supervisor found it" if report.asked == "running" else "tried just now"
    lines = [f"isolation  {click.style(report.level, fg=colour, bold=True)}", f"           {report.summary} ({how})"]
    margin = max(len(finding.title) for finding in report.findings)
    for section, findings in groupby(report.findings, key=lambda finding: finding.section):
        lines += ["", click.style(section, bold=True)]
        for finding in findings:
            lines += finding_lines(
                finding.state,
                finding.title,
                finding.finding,
                margin=margin,
                consequence=finding.consequence,
                remedy=finding.remedy,
            )
    return "\n".join([*lines, "", _conclusion(report)])


def _conclusion(report: Report) -> str:
    bad = sum(finding.state == "bad" for finding in report.findings)
    weak = sum(finding.state == "weak" for finding in report.findings)
    if bad:
        return click.style(f"✕ {bad} thing{'s' if bad > 1 else ''} to see to", fg="red") + (
            f", {weak} that could be better" if weak else ""
        )
    if weak:
        return f"{click.style('✓', fg='green')} jobs can run; {weak} thing{'s' if weak > 1 else ''} could be better"
    return f"{click.style('✓', fg='green')} all is well"
