"""How data is named: `acme.joe.home`, `home@latest`, `home@BRANCH`, `home@3`, each with a path below it."""

from __future__ import annotations

import secrets
from typing import NamedTuple

import click

from dais.wire.names import split_folder, split_version

LATEST = "latest"
EMPTY = "empty"


class Place(NamedTuple):
    """A folder or branch of one, by its name; of a folder perhaps a version; and a path below it."""

    folder: str
    version: int | None
    below: str

    @property
    def name(self) -> str:
        """What is named, without the path."""
        return self.folder if self.version is None else f"{self.folder}@{self.version}"


def place(name: str) -> Place:
    """What a name means, with the path behind it. Raises UsageError."""
    whole, below = split_folder(name)
    head, at, rest = whole.partition("@")
    if at and rest == EMPTY:
        raise click.UsageError(f"{name!r}: there is nothing in {EMPTY}; `eai data branch add` begins a branch with it")
    return Place(head, None, below) if rest == LATEST else Place(*split_version(whole), below)


def living(name: str) -> Place:
    """The same of what can change. Raises UsageError for a version."""
    found = place(name)
    if found.version is not None:
        raise click.UsageError(
            f"{name!r} is a version, which never changes; `eai data branch add {found.name} BRANCH` makes one that can"
        )
    return found


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
