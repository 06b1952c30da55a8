"""`dais ssh-key`: the public keys that let somebody in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected, note
from dais.cli.identity.completing import NAMES
from dais.cli.output import Output, with_output_of
from dais.sdk.errors import Invalid
from dais.wire.ssh import SshKey

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("id", "label", "kind", "fingerprint", "created_at", "last_used_at")
NAMES_OF_KEYS = ("id_ed25519.pub", "id_ecdsa.pub", "id_ed25519_sk.pub", "id_ecdsa_sk.pub", "id_rsa.pub")
"""The order in which ssh itself would make and show them, the best first."""

_user = click.option("--user", metavar="USER", shell_complete=NAMES["user"], help="Of this user, not your own.")


@click.group("ssh-key", cls=LazyGroup)
def ssh_key() -> None:
    """Add, list and remove the public keys by which you reach your jobs through SSH.

    `dais ssh` needs none: it asks for a certificate. Keys are for programs that connect by themselves.

    \b
    Examples:
      dais ssh-key add ~/.ssh/id_ed25519.pub
      ssh -p 2222 train@localhost
    """


@ssh_key.command()
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(dir_okay=False))
@click.option("--label", metavar="TEXT", help="What it is called. [default: its comment]")
@_user
@with_output_of(SshKey)
@connected
def add(client: Client, output: Output, file: str | None, label: str | None, user: str | None) -> None:
    """Let yourself in by a public key: the file that ends with .pub, `-` for stdin; else the best one of ~/.ssh.

    \b
    Examples:
      dais ssh-key add
      dais ssh-key add ~/.ssh/id_ed25519.pub --label laptop
      ssh-add -L | head -1 | dais ssh-key add -
    """
    made = client.ssh_keys.add(_public(file), label=label, user=user)
    output.one(made, COLUMNS)


@ssh_key.command()
@_user
@with_output_of(SshKey)
@connected
def ls(client: Client, output: Output, user: str | None) -> None:
    """List public keys.

    \b
    Examples:
      dais ssh-key ls
      dais ssh-key ls --json
    """
    found = list(client.ssh_keys.list(user))
    if not found and output.for_people:
        note("no keys yet; `dais ssh-key add` adds one, and `dais ssh JOB` needs none")
    output.many(SshKey, found, COLUMNS)


@ssh_key.command()
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@connected
def rm(client: Client, keys: tuple[str, ...]) -> None:
    """Let nobody in by these keys any more, named by id or fingerprint; connections that they opened end.

    \b
    Examples:
      dais ssh-key rm 0193a1b2-77c1-7d1e-9f00-3f1f2a5c8d10
      dais ssh-key rm SHA256:QuL9ZyX16esPRStDvsUmnPpcHfTkLvr6puTPFEeLZVM
    """
    for one in keys:
        client.ssh_keys.rm(one)


def _public(file: str | None) -> str:
    """The line of a public key."""
    if file == "-":
        return sys.stdin.read(64 << 10)
    path = Path(file).expanduser() if file is not None else _own()
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read: {error}", code="bad-ssh-key") from error
    if "PRIVATE KEY" in text:  # never sent, not even to be refused
        raise Invalid(
            f"{path} is a private key, which nobody but you should have", code="bad-ssh-key", hint=f"give {path}.pub"
        )
    return text


def _own() -> Path:
    place = Path("~/.ssh").expanduser()
    for name in NAMES_OF_KEYS:
        if (place / name).is_file():
            return place / name
    raise Invalid(
        f"there is no public key in {place}",
        code="no-ssh-key",
        hint="`ssh-keygen -t ed25519` makes one; `dais ssh JOB` needs none",
    )
