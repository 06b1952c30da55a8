"""`dais down`."""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path

import click
import msgspec

from dais.cli.admin.place import data_dir_of, data_dir_option
from dais.cli.base import note
from dais.sdk.installation import LOCK_FILE, Installation, find_installation

STOP_SECONDS = 60.0
KILL_SECONDS = 60.0
POLL_SECONDS = 0.2


@click.command("down")
@data_dir_option
@click.option(
    "--kill-jobs", is_flag=True, help="Kill every job first; without it they go on, and `dais up` finds them."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: what was stopped.")
def down(data_dir: Path | None, kill_jobs: bool, as_json: bool) -> None:
    """Stop Dais on this machine; jobs go on.

    Requests under way may end first. Where nothing runs there is nothing to do.

    \b
    Examples:
      dais down
      dais down --kill-jobs
    """
    found = find_installation(data_dir_of(data_dir))
    if found.state == "stopped" or not found.pid:
        _say(found, as_json, f"Dais does not run on {found.data_dir}")
        return
    if kill_jobs:
        _kill_jobs(found)
    _stop(found.pid, Path(found.data_dir) / LOCK_FILE)
    _say(msgspec.structs.replace(found, state="stopped"), as_json, f"Dais (pid {found.pid}) has stopped")


def _stop(pid: int, lock: Path) -> None:
    """`lock` is the file that named the pid: its owner could have written any, and root ends only that user's."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        owner = lock.stat().st_uid
        if os.geteuid() == 0 and f"\nUid:\t{owner}\t" not in Path(f"/proc/{pid}/status").read_text():
            raise click.ClickException(
                f"pid {pid}, which {lock} names, is not user {owner}'s, whose that file is: it is not Dais"
            )
        signal.pidfd_send_signal(watched, signal.SIGTERM)
        if not select.select([watched], [], [], STOP_SECONDS)[0]:
            raise click.ClickException(
                f"Dais (pid {pid}) has not stopped within {STOP_SECONDS:g} s; `kill -9 {pid}` is safe: jobs go on"
            )
    except (ProcessLookupError, FileNotFoundError):
        return
    except PermissionError as error:
        raise click.ClickException(f"pid {pid} belongs to another user: stop it as that user") from error
    finally:
        os.close(watched)


def _kill_jobs(found: Installation) -> None:
    from dais.cli.base import open_client
    from dais.sdk import Client

    with open_client() as configured:
        access = configured.access
    with Client(url=found.url, token=access.token) as client:
        killed = 0
        for job in client.jobs.list(state="alive"):
            client.jobs.kill(job.id)
            killed += 1
        if killed:
            note(f"killing {killed} job{'s' if killed > 1 else ''}")
        deadline = time.monotonic() + KILL_SECONDS
        while next(iter(client.jobs.list(state="alive", limit=1)), None) is not None:
            if time.monotonic() > deadline:
                raise click.ClickException("some jobs are still ending; look with `dais job ls --state alive`")
            time.sleep(POLL_SECONDS)


def _say(found: Installation, as_json: bool, words: str) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode() if as_json else words)
