"""`dais ssh`: the system's ssh, with a certificate and the gateway's host key; and what carries it through the API."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from dais.cli.base import ReferenceAndCommand, chosen, connected

if TYPE_CHECKING:
    from dais.sdk.client import Client


@click.command("ssh", cls=ReferenceAndCommand)
@click.option("--last", is_flag=True, help="Into your newest job.")
@click.option(
    "-L", "forwards", metavar="SPEC", multiple=True, help="Forward a port of the job, as 8888:localhost:8888."
)
@click.option("-D", "dynamic", metavar="PORT", multiple=True, help="Offer the job's ports through a SOCKS proxy here.")
@click.option("-A", "agent", is_flag=True, help="Lend the job this machine's SSH agent.")
@click.option("-N", "nothing", is_flag=True, help="Run no command: for forwarding ports.")
@click.option("-t", "tty", is_flag=True, help="Give a command a terminal; a shell has one.")
@click.option("-o", "options", metavar="OPTION=VALUE", multiple=True, help="Any option of ssh_config.")
@connected
def ssh(
    client: Client,
    last: bool,
    forwards: tuple[str, ...],
    dynamic: tuple[str, ...],
    agent: bool,
    nothing: bool,
    tty: bool,
    options: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    """Open a shell in a running job, or run a command there, with this machine's ssh.

    No key need be set up: it gets a certificate that holds for some hours, and trusts no host key but the gateway's.
    Nothing need be installed in the job's image. Where the gateway's port cannot be reached it goes through the API.

    \b
    Examples:
      dais ssh train
      dais ssh --last -- nvidia-smi
      dais ssh train -N -L 8888:localhost:8888
    """
    from dais.cli.ssh.credentials import find_program, own_program, prepare

    ref, command = ("last", words) if last else (words[0] if words else "", words[1:])
    if not ref:
        raise click.UsageError("name a job, or say --last: dais ssh train")
    program = find_program("ssh")
    job = client.jobs.get(ref)
    profile = chosen().profile
    proxy = [*own_program(), "ssh-proxy", *(["--profile", profile] if profile else [])]
    told = [f"-o{name}={_value(value)}" for name, value in prepare(client).options(proxy).items()]
    line = [program, *(f"-o{one}" for one in options), *told]
    line += [word for one in forwards for word in ("-L", one)] + [word for one in dynamic for word in ("-D", one)]
    line += [flag for flag, wanted in (("-A", agent), ("-N", nothing), ("-t", tty)) if wanted]
    client.close()
    sys.stdout.flush()
    # The last word before the command is the name that ssh prints; the address is an option's.
    os.execv(program, [*line, "-l", job.id, "dais", *command])  # noqa: S606 (ssh takes this process over)


@click.command("ssh-proxy")
@connected
def ssh_proxy(client: Client) -> None:
    """Carry one SSH connection between stdin and stdout and the gateway, through the API.

    It is what ssh is told to run where the gateway's own port cannot be reached.

    \b
    Example:
      ssh -o ProxyCommand='dais ssh-proxy' train@dais
    """
    from dais.sdk.ssh_tunnel import carry
    from dais.sdk.target import Target

    access = client.access
    carry(Target(access.url, access.token, access.token_origin), 0, 1)


def _value(text: str) -> str:
    """A value of an option on ssh's command line: what holds blanks is quoted, but for a command, which is the rest."""
    return f'"{text}"' if " " in text and text.startswith("/") and " -m " not in text else text
