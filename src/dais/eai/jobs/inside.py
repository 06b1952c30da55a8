"""`eai job exec`."""

from __future__ import annotations

import click

from dais.cli.jobs.execute import execute as _execute
from dais.eai.words import adopted

execute: click.Command = adopted(_execute)
