"""`dais job port-forward`: ports of this machine that lead into a running job."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import threading
from typing import TYPE_CHECKING

import click

from dais.cli.base import connected, leave, note

if TYPE_CHECKING:
    from dais.sdk.client import Client
    from dais.sdk.forwarding import PortForward


@click.command("port-forward")
@click.argument("words", metavar="JOB PORT|LOCAL:REMOTE...", nargs=-1)
@click.option("--last", is_flag=True, help="To your newest job; then only ports are named.")
@click.option("--address", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Listen here.")
@click.option("--json", "as_json", is_flag=True, help="Print where it listens as JSON, one line for each port.")
@connected
def port_forward(client: Client, words: tuple[str, ...], last: bool, address: str, as_json: bool) -> None:
    """Reach TCP ports of a running job through ports of this machine.

    PORT is the same here and in the job, LOCAL:REMOTE are two; with LOCAL 0 a free one is chosen. It stays until you
    press Ctrl-C or the job has ended, also while Dais restarts: new connections wait for it then.

    \b
    Examples:
      dais job port-forward train 6006
      dais job port-forward --last 8080:80 9000
      dais job port-forward --last 2222 &  ssh -p 2222 localhost
    """
    ref, named = ("last", words) if last else (words[0] if words else "", words[1:])
    if not ref or not named:
        raise click.UsageError("name a job (or say --last) and a port: dais job port-forward --last 8080")
    pairs = [_pair(one) for one in named]
    if not _is_loopback(address):
        note(f"listening on {address}: whoever can reach it gets into the job as you, without being asked who they are")
    with contextlib.ExitStack() as held:
        ref = client.jobs.get(ref).id
        forwards = [
            held.enter_context(client.jobs.port_forward(ref, local, remote, address=address, note=note))
            for local, remote in pairs
        ]
        for forward, (_, remote) in zip(forwards, pairs, strict=True):
            _tell(forward, remote, ref, as_json)
        job = forwards[0].wait(threading.TIMEOUT_MAX)
    note(f"job {job.id} has ended: {job.state}" + (f" ({job.reason})" if job.reason else ""))
    leave(0)


def _tell(forward: PortForward, remote: int, ref: str, as_json: bool) -> None:
    host = f"[{forward.address}]" if ":" in forward.address else forward.address
    if as_json:
        click.echo(json.dumps({"address": forward.address, "port": forward.port, "job": ref, "remote": remote}))
    else:
        click.echo(f"{host}:{forward.port} leads to port {remote} of job {ref}")


def _pair(word: str) -> tuple[int, int]:
    local, colon, remote = word.partition(":")
    try:
        pair = int(local), int(remote if colon else local)
    except ValueError:
        raise click.UsageError(f"{word!r} is no port; write PORT or LOCAL:REMOTE, as in 8080:80") from None
    if not (0 <= pair[0] < 1 << 16 and 0 < pair[1] < 1 << 16):
        raise click.UsageError(f"{word!r}: ports are from 1 to 65535 (0 here: a free one)")
    return pair


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
