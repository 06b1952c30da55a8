"""`dais doctor`."""

from __future__ import annotations

import shutil
import sys
import textwrap
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from dais.cli.admin.place import data_dir_of, data_dir_option, platform_missing
from dais.cli.problems import complain

if TYPE_CHECKING:
    from dais.app.doctor import Finding, Report

MARKS = {"fine": ("✓", "green"), "weak": ("!", "yellow"), "bad": ("✕", "red"), "absent": ("·", "bright_black")}
UNSOUND = 1
"""Exit code when something matters that is not as it should be."""
WIDTH = 100


@click.command("doctor")
@data_dir_option
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE", help="The dais.toml with the settings (DAIS_CONFIG)."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: level, sound, and every finding.")
def doctor(data_dir: Path | None, config: Path | None, as_json: bool) -> int:
    """Tell what this machine can isolate and do, what follows, and how to mend it.

    Before the first `dais up` it tries everything itself; later it asks what the running supervisor has found. The
    exit code is 0 when jobs are isolated and bounded, 1 when something is marked ✕.

    \b
    Examples:
      dais doctor
      dais doctor --json
    """
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
            lines += _lines(finding, margin)
    return "\n".join([*lines, "", _conclusion(report)])


def _lines(finding: Finding, margin: int) -> list[str]:
    mark, colour = MARKS[finding.state]
    lead = f"  {click.style(mark, fg=colour)} {finding.title.ljust(margin)}  "
    indent = " " * (margin + 6)
    room = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH)
    text = textwrap.wrap(finding.finding, max(20, room - len(indent)), break_on_hyphens=False) or [""]
    lines = [lead + text[0], *(indent + line for line in text[1:])]
    if finding.consequence:
        told = textwrap.wrap(finding.consequence, max(20, room - len(indent) - 2), break_on_hyphens=False)
        lines += [indent + ("→ " if number == 0 else "  ") + line for number, line in enumerate(told)]
    if finding.remedy:
        lines.append(indent + click.style(f"⚒ {finding.remedy}", fg="cyan"))  # one line, to be copied
    return lines


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
