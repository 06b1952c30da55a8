"""How data is named: `acme.joe.home`, `home@latest`, `home@BRANCH`, each with a path below it."""

from __future__ import annotations

import secrets

import click

from dais.wire.names import split_folder

LATEST = "latest"
EMPTY = "empty"


def living(name: str) -> str:
    """The folder that a name means, `NAME` or `NAME@BRANCH`, with the path behind it. Raises UsageError."""
    whole, _ = split_folder(name)
    head, at, version = whole.partition("@")
    rest = name[len(whole) :]
    if not at or version == LATEST:
        return head + rest
    if version == EMPTY:
        raise click.UsageError(f"{name!r}: there is nothing in {EMPTY}; `eai data branch add` begins a branch with it")
    if version.isdecimal():
        raise click.UsageError(
            f"{name!r}: data has no numbered versions here; `eai data branch add {head}@{LATEST} v1` keeps what is in "
            f"it now, as {head}@v1"
        )
    return name


def split_name(name: str) -> tuple[str | None, str]:
    """The account and the short name: `acme.joe.home`, `home`, and `acme.joe./.ssh` for one that begins with a dot.

    `acme.joe.` has a name made up for it.
    """
    if "./." in name:
        account, _, short = name.partition("./")
        return account, short
    account, _, short = name.rpartition(".")
    if account and not short:
        return account, f"data_{secrets.token_hex(4)}"
    return account or None, short if account else name
