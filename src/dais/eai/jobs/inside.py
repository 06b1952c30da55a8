"""`eai job exec` and `eai job port-forward`: the commands of `dais`, whose names are that system's."""

from __future__ import annotations

import click

from dais.cli.jobs.execute import execute as _execute
from dais.cli.jobs.port_forward import port_forward as _port_forward
from dais.eai.words import adopted

execute: click.Command = adopted(_execute)
port_forward: click.Command = adopted(_port_forward)
