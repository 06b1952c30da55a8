"""How findings are shown: a mark, what was found, what follows, and what mends it, on one line, to be copied."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dais.wire.groups import EngineFinding

MARKS = {"fine": ("✓", "green"), "weak": ("!", "yellow"), "bad": ("✕", "red"), "absent": ("·", "bright_black")}
WIDTH = 100


def finding_lines(
    state: str, title: str, text: str, *, margin: int, consequence: str = "", remedy: str = ""
) -> list[str]:
    """The lines of one finding; titles take `margin` columns."""
    mark, colour = MARKS[state]
    lead = f"  {click.style(mark, fg=colour)} {title.ljust(margin)}  "
    indent = " " * (margin + 6)
    room = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH)
    words = textwrap.wrap(text, max(20, room - len(indent)), break_on_hyphens=False) or [""]
    lines = [lead + words[0], *(indent + line for line in words[1:])]
    if consequence:
        told = textwrap.wrap(consequence, max(20, room - len(indent) - 2), break_on_hyphens=False)
        lines += [indent + ("→ " if number == 0 else "  ") + line for number, line in enumerate(told)]
    if remedy:
        lines.append(indent + click.style(f"⚒ {remedy}", fg="cyan"))  # one line, to be copied
    return lines


def show_findings(findings: Sequence[EngineFinding]) -> None:
    """Print what the check of an engine found."""
    margin = max((len(one.name) for one in findings), default=0)
    for one in findings:
        state = "fine" if one.ok else "bad" if one.needed else "weak"
        for line in finding_lines(state, one.name, one.detail, margin=margin, remedy="" if one.ok else one.remedy):
            click.echo(line)
