"""`eai version`."""

from __future__ import annotations

import click

from dais.cli.version import version as _version
from dais.eai.words import adopted

version: click.Command = adopted(_version)
