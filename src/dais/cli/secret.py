"""`dais secret`: values that jobs are given by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected, note
from dais.cli.output import Output, with_output_of
from dais.wire.answers import Secret

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("name", "account", "size", "set_by", "set_at")


@click.group(cls=LazyGroup)
def secret() -> None:
    """Set and remove secrets that jobs are given.

    A secret belongs to an account. Whoever may submit jobs there may give it to a job; nobody can read it back.

    \b
    Examples:
      dais secret set HF_TOKEN
      dais run --secret HF_TOKEN -- python train.py
    """


@secret.command("set")
@click.argument("name", metavar="NAME")
@click.option("--file", "file", type=click.Path(dir_okay=False), metavar="FILE", help="Take the value from this file.")
@with_output_of(Secret)
@connected
def set_(client: Client, output: Output, name: str, file: str | None) -> None:
    """Set a secret, or replace its value.

    The value is asked for without showing it; piped in, it is read from stdin, without the newline at its end. From a
    file every byte is taken. It is never an argument: others could read it in the list of processes.

    \b
    Examples:
      dais secret set HF_TOKEN
      pass show db | dais secret set DB_PASSWORD --account acme.vision
      dais secret set SSH_KEY --file ~/.ssh/id_ed25519
    """
    from dais.wire.secrets import check_secret_name

    made = client.secrets.set(check_secret_name(name), _value(name, file))
    if output.for_people:
        note(f"{made.name} of {made.account} is set; give it to a job with --secret {made.name}")
    else:
        output.one(made, COLUMNS)


@secret.command()
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@with_output_of(Secret)
@connected
def ls(client: Client, output: Output, limit: int | None) -> None:
    """List secrets, without their values.

    \b
    Examples:
      dais secret ls
      dais secret ls --account acme.vision --json
    """
    found = list(client.secrets.list(limit=limit))
    if not found and output.for_people:
        note("no secrets here; `dais secret set NAME` makes one")
    output.many(Secret, found, COLUMNS)


@secret.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@connected
def rm(client: Client, names: tuple[str, ...]) -> None:
    """Remove secrets; jobs that wait and name them will fail.

    \b
    Example:
      dais secret rm HF_TOKEN
    """
    for name in names:
        client.secrets.rm(name)


@secret.command("rotate-key")
@connected
def rotate_key(client: Client) -> None:
    """Encrypt all secrets with a new key of the installation; for administrators.

    Older keys stay in the key file, for older backups; delete their lines when no backup needs them.

    \b
    Example:
      dais secret rotate-key
    """
    note(f"{client.secrets.rotate_key().secrets} secrets are encrypted with a new key")


def _value(name: str, file: str | None) -> bytes:
    if file is not None:
        try:
            return Path(file).expanduser().read_bytes()
        except OSError as error:
            raise click.UsageError(f"--file: {file!r} cannot be read: {error.strerror}") from error
    if sys.stdin.isatty():
        typed: str = click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True)
        return typed.encode()
    return sys.stdin.buffer.read().removesuffix(b"\n").removesuffix(b"\r")
