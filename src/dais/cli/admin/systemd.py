"""`dais admin systemd`: a unit for systemd."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from dais.cli.admin.place import config_option, data_dir_of, data_dir_option

NAME = "dais.service"
SYSTEM, USER = Path("/etc/systemd/system"), Path("~/.config/systemd/user")

UNIT = """\
# Made by `dais admin systemd`; see docs/operations.md.
[Unit]
Description=Dais, AI compute platform
After=network.target postgresql.service
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=all
ExecStart={command}
# Only the server is ended: the node supervisor and the jobs go on, and the next server finds them.
KillMode=process
# A job that runs out of memory is that job's affair.
OOMPolicy=continue
Restart=on-failure
RestartSec=2
WatchdogSec=60
TimeoutStartSec=300
TimeoutStopSec=660
LimitNOFILE=524288
# The supervisor gets a scope of its own (systemd-run), in which it may make control groups for the jobs.
UMask=0022

[Install]
WantedBy={target}
"""


@click.command("systemd")
@data_dir_option
@config_option
@click.option("--user", "for_user", is_flag=True, help="A unit of your own user manager, not of the machine's.")
@click.option("--install", is_flag=True, help=f"Write it where systemd looks for it: {SYSTEM}, or {USER} with --user.")
def systemd(data_dir: Path | None, config: Path | None, for_user: bool, install: bool) -> None:
    """Print a unit for systemd, or install it.

    It runs `dais up` with this program and data directory, is ready when the server answers, and is started again when
    the server fails or hangs. `systemctl restart` ends the server alone; jobs go on.

    \b
    Examples:
      dais admin systemd
      dais admin systemd --install
      dais admin systemd --user --install
    """
    text = unit(data_dir_of(data_dir), config, for_user=for_user)
    if not install:
        click.echo(text, nl=False)
        return
    if not for_user and os.geteuid() != 0:
        raise click.ClickException("only root may install a unit of the machine's; say --user, or run it as root")
    path = (USER.expanduser() if for_user else SYSTEM) / NAME
    if path.exists() and path.read_text() != text:
        raise click.ClickException(f"{path} is there and says something else; remove it first, or edit it")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    systemctl = "systemctl --user" if for_user else "systemctl"
    click.echo(f"wrote {path}\n\nNext:\n  {systemctl} daemon-reload\n  {systemctl} enable --now dais")
    if for_user:
        click.echo("  loginctl enable-linger    so that it runs while you are not logged in")


def unit(data_dir: Path, config: Path | None, *, for_user: bool) -> str:
    """The text of the unit."""
    words = [*_program(), "up", "--data-dir", str(data_dir)]
    if config is not None:
        words += ["--config", str(config.absolute())]
    target = "default.target" if for_user else "multi-user.target"
    return UNIT.format(command=" ".join(map(quoted, words)), target=target)


def quoted(word: str) -> str:
    """A word of a command line as systemd reads it: `%` and `$` mean something to it."""
    if "\n" in word:
        raise click.ClickException(f"systemd cannot be told of {word!r}: it has a line break in it")
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{word}"' if any(c in word for c in " \t'\"\\;") or not word else word


def _program() -> list[str]:
    """How this program is started: as it was now, by a path that lasts."""
    beside = Path(sys.executable).with_name("dais")
    found = str(beside) if beside.exists() else shutil.which("dais")
    return [found] if found else [sys.executable, "-m", "dais"]
