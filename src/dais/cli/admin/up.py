"""`dais up`: the platform in this process, or in one that stays when the command ends."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from dais.cli.admin.place import answers, data_dir_of, data_dir_option, platform_missing
from dais.cli.problems import complain
from dais.sdk.installation import LOG_FILE

if TYPE_CHECKING:
    from dais.app.serve import Ready
    from dais.app.standing import Standing

START_SECONDS = 120.0
LOG_LINES = 15

NEXT = """
Next:
  dais run -- python train.py     run a program with the files of this directory, and follow it
  dais job ls                     list your jobs
  dais open                       open the web pages, signed in
  {down}  stop Dais; jobs go on"""


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """What a server that was started in the background tells the command that started it."""

    pid: int
    url: str
    version: str
    data_dir: str
    log: str
    notes: list[str]
    warnings: list[str]


@click.command("up")
@data_dir_option
@click.option("--host", metavar="HOST", help="Address to listen on (default 127.0.0.1: this machine only).")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="Port (default 8765; 0 picks a free one).")
@click.option("--detach", is_flag=True, help="Return once it answers, and leave it running.")
@click.option("--insecure", is_flag=True, help="Allow an address that others can reach, without encryption.")
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE", help="The dais.toml with the settings (DAIS_CONFIG)."
)
@click.option("--new-token", is_flag=True, help="Make the administrator another token, for when theirs is lost.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document once it answers: pid, url, …")
@click.option("--ready-fd", type=int, hidden=True, help="Used by --detach: the file descriptor to tell readiness on.")
def up(
    data_dir: Path | None,
    host: str | None,
    port: int | None,
    detach: bool,
    insecure: bool,
    config: Path | None,
    new_token: bool,
    as_json: bool,
    ready_fd: int | None,
) -> int:
    """Start Dais on this machine.

    The first start makes an administrator and writes their token to your profile file. Jobs go on while Dais is
    stopped, and a new start finds them again.

    \b
    Examples:
      dais up
      dais up --detach
      dais up --detach --port 0 --data-dir ./try-out
    """
    directory = data_dir_of(data_dir)
    if detach:
        flags = [flag for flag, given in (("--insecure", insecure), ("--new-token", new_token)) if given]
        return _detached(directory, host, port, config, flags, as_json)
    gc.disable()  # nothing of what a start imports is garbage; the server looks for it once it answers
    if config is not None:
        config = config.absolute()
    standing: Standing | None = None
    if os.geteuid() == 0:
        directory = Path(os.path.realpath(directory))
        fields = {"host": host, "port": port, "insecure": insecure, "config": config}
        stands = _step_apart(directory, config, ready_fd, fields)
        if isinstance(stands, int):
            return stands
        standing = stands
    try:
        from dais.app import DaisError
        from dais.app.serve import Options, serve
        from dais.app.standing import Standing
    except ModuleNotFoundError as error:
        platform_missing(error)
    options = Options(
        data_dir=directory,
        host=host,
        port=port,
        insecure=insecure,
        config=config,
        terminal=ready_fd is None,
        new_token=new_token,
        standing=standing or Standing(),
    )
    if ready_fd is not None and not options.standing.apart:
        os.chdir("/")  # keep no directory of the user's busy
    try:
        serve(options, lambda ready: _ready(_started(ready), as_json, ready_fd))
    except DaisError as error:
        complain(error.message)
        return 1
    return 0


def _step_apart(directory: Path, config: Path | None, ready_fd: int | None, fields: dict[str, Any]) -> Standing | int:
    """Started as root: the server is another user's process where that can be, and this one its keeper."""
    try:
        from dais.app import DaisError
        from dais.app.keeper import step_apart
    except ModuleNotFoundError as error:
        platform_missing(error)
    if ready_fd is not None:
        os.chdir("/")
    try:
        return step_apart(directory, config, ready_fd, lambda: _check(directory, fields))
    except ModuleNotFoundError as error:
        platform_missing(error)
    except DaisError as error:
        complain(error.message)
        return 1
    except OSError as error:
        complain(f"the data directory {directory} cannot be used: {error}; choose another with --data-dir")
        return 1


def _check(directory: Path, fields: dict[str, Any]) -> None:
    from dais.app.serve import Options, check

    check(Options(data_dir=directory, **fields))


def _started(ready: Ready) -> Started:
    server = ready.server
    return Started(
        pid=server.pid,
        url=server.url,
        version=server.version,
        data_dir=server.data_dir,
        log=ready.log,
        notes=ready.notes,
        warnings=ready.warnings,
    )


def _ready(started: Started, as_json: bool, ready_fd: int | None) -> None:
    """Tell that the server answers: to the person, or to the command that started this process."""
    if ready_fd is None:
        with contextlib.suppress(OSError):  # nobody reads it: no reason to stop
            _tell(started, as_json, foreground=True)
        return
    os.write(ready_fd, msgspec.json.encode(started) + b"\n")
    os.close(ready_fd)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)  # the command that listens to it ends now
    os.close(nowhere)


def _tell(started: Started, as_json: bool, *, foreground: bool) -> None:
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(started)).decode())
        return
    click.echo(f"Dais {started.version} is up at {click.style(started.url, bold=True)} (pid {started.pid})")
    click.echo(f"  data  {started.data_dir}\n  log   {started.log}")
    for text in started.notes:
        click.echo(f"  {text}")
    for text in started.warnings:
        click.echo(f"{click.style('warning:', fg='yellow')} {text}", err=True)
    elsewhere = "" if Path(started.data_dir) == data_dir_of(None) else f" --data-dir {shlex.quote(started.data_dir)}"
    click.echo(NEXT.format(down=f"dais down{elsewhere}".ljust(30)))
    if foreground:
        click.echo("\nCtrl-C stops it; jobs go on.")
    sys.stdout.flush()


def _detached(
    directory: Path, host: str | None, port: int | None, config: Path | None, flags: list[str], as_json: bool
) -> int:
    command = [sys.executable, "-m", "dais", "up", "--data-dir", str(directory)]
    for option, value in (("--host", host), ("--port", port), ("--config", config and config.absolute())):
        if value is not None:
            command += [option, str(value)]
    command += flags
    log = directory / LOG_FILE
    log_size = log.stat().st_size if log.exists() else 0
    heard, told = os.pipe()
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            [*command, "--ready-fd", str(told)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=words,
            pass_fds=(told,),
            start_new_session=True,
        )
        os.close(told)
        try:
            started = _hear(heard)
        except BaseException:
            process.kill()
            raise
        finally:
            os.close(heard)
        if started is None or not answers(started.url):
            process.kill()
            process.wait()
            words.seek(0)
            return _failed(words.read().decode(errors="replace"), log, log_size)
    _tell(started, as_json, foreground=False)
    process.returncode = 0  # it goes on by itself: nobody here waits for it
    return 0


def _hear(descriptor: int) -> Started | None:
    """What the started process tells; None when it ended, or took too long, before it answered."""
    text = b""
    while not text.endswith(b"\n"):
        if not select.select([descriptor], [], [], START_SECONDS)[0]:
            complain(f"Dais has not come up within {START_SECONDS:g} s")
            return None
        part = os.read(descriptor, 65536)
        if not part:
            return None
        text += part
    return msgspec.json.decode(text, type=Started)


def _failed(words: str, log: Path, log_size: int) -> int:
    """Show what the started process said; where it said nothing, the end of what it logged."""
    lines = words.strip().splitlines()
    if lines:
        for line in lines[-LOG_LINES:]:
            click.echo(line, err=True)
        return 1
    complain(f"Dais did not start; the end of its log {log}:")
    try:
        with log.open("rb") as file:
            file.seek(min(log_size, log.stat().st_size))
            tail = file.read()[-65536:].decode(errors="replace").splitlines()[-LOG_LINES:]
    except OSError as error:
        tail = [f"(the log cannot be read: {error.strerror})"]
    for line in tail:
        click.echo(f"  {line}", err=True)
    return 1
